"""The experiments of classes, and which images they train on."""

import runpy

import numpy as np
import pytest
from made_classes import table, touch, write_ham10000

from rkd_jax.data.class_layouts import HAM10000_CLASSES
from rkd_jax.tasks.classification import ClassificationData, data, training_source


def experiment(variant=""):
    return runpy.run_path("configs/crckd.py")["get_config"](variant)


@pytest.mark.parametrize(
    "variant",
    [
        "",
        "ce",
        "mt",
        "ccd",
        "full",
        "upstream",
        "demo",
        "ham10000,small",
        "ce,idrid",
        "reverse,idrid",
    ],
)
def test_the_experiments_are_valid(variant):
    config = experiment(variant)
    if config.data.kind != "synthetic":
        config.data.data_dir = "somewhere"
    assert config.validate() is config
    assert config.loop.steps > 100


@pytest.mark.parametrize("variant", ["demo,ham10000", "ce,mt", "idrid,eyepacs"])
def test_variants_that_exclude_each_other(variant):
    with pytest.raises(ValueError, match="choose"):
        experiment(variant)


def test_each_row_has_one_term_more():
    terms = ("prediction_weight", "contrast_weight", "relation_weight")
    counts = [
        sum(getattr(experiment(row).task, term) > 0 for term in terms)
        for row in ("ce", "mt", "ccd", "full")
    ]
    assert counts == [0, 1, 2, 3]


def drawn(**changes):
    return ClassificationData(
        synthetic_labeled=40, synthetic_unlabeled=10, size=48, **changes
    )


def test_drawn_eyes_are_imbalanced_where_they_teach_and_balanced_where_they_test():
    found = data.parts(drawn())
    assert found["train"].counts.tolist() == [20, 4, 11, 2, 3]
    assert found["val"].counts.tolist() == found["test"].counts.tolist() == [2] * 5
    pictures = {
        part: [item.read().tobytes() for item in found[part].items[:4]]
        for part in found
    }
    assert len({one for part in pictures.values() for one in part}) == 12
    other = data.parts(drawn(split_seed=1))["test"].items[0].read()
    assert other.tobytes() != pictures["test"][0]


def test_a_published_layout_is_divided_by_group(tmp_path):
    """Of each class, four lesions of three photographs and four of one."""
    lesions = [
        (f"HAM_{kind}_{n}", kind, count)
        for kind in HAM10000_CLASSES
        for n, count in enumerate([3] * 4 + [1] * 4)
    ]
    photographs = [
        (name, f"ISIC_{name}_{number}", kind)
        for name, kind, count in lesions
        for number in range(count)
    ]
    rows = [",".join(photograph) for photograph in photographs]
    table(tmp_path / "HAM10000_metadata.csv", "lesion_id,image_id,dx", *rows)
    touch(tmp_path / "images", *(f"{name}.jpg" for _, name, _ in photographs))
    own = ClassificationData(
        kind="ham10000", data_dir=str(tmp_path), shares=(2, 1, 1), size=16
    )
    found = data.parts(own)
    assert sorted(sum((part.names for part in found.values()), ())) == sorted(
        name for _, name, _ in photographs
    )
    groups = [group for part in found.values() for group in set(part.groups)]
    assert sorted(groups) == sorted(name for name, _, _ in lesions)
    assert all((part.counts >= 3).all() for part in found.values())


def test_a_published_layout_that_lacks_a_class_to_train_on(tmp_path):
    write_ham10000(tmp_path)
    own = ClassificationData(
        kind="ham10000", data_dir=str(tmp_path), shares=(1, 1, 1), size=16
    )
    with pytest.raises(ValueError, match="no image to train on of class"):
        data.parts(own)


def test_an_image_is_prepared_as_the_network_takes_it():
    config = experiment("demo")
    config.data.synthetic_labeled, config.data.size = 10, 48
    source = training_source(config)
    example = source[3]
    assert example["image"].shape == (48, 48, 3)
    assert example["image"].dtype == np.uint8
    assert example["index"] == 3
    assert example["label"] == source.groups[3]
