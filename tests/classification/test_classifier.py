"""A classifier: the network itself, calibrated; settings; explanations; refusals."""

import dataclasses

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from made_classifiers import (
    CLASSES,
    OPTIONS,
    SIZE,
    save_untrained,
    settings,
    untrained,
    variables,
)
from made_classifiers import drawn as drawn_variables
from made_eyes import draw_eye
from PIL import Image
from scipy.special import softmax

import rkd_jax
from rkd_jax import models
from rkd_jax import weights as weight_files
from rkd_jax.classification.embedding import fit_embedding
from rkd_jax.classification.explanation import draw_explanation
from rkd_jax.classification.prepare import MEAN, STD, prepare
from rkd_jax.classification.settings import settings_of
from rkd_jax.models.classifier import Classifier
from rkd_jax.models.resnet import ResNet


def _network(image):
    """Return what the network says of a photograph."""
    square = prepare(image, SIZE)
    given = (square / 255.0 - np.array(MEAN)) / np.array(STD)
    module = models.build("resnet", **OPTIONS)
    return module.apply(variables(), jnp.asarray(given[None], jnp.float32))


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_probabilities_are_the_softmax_of_the_network(temperature):
    image = draw_eye()
    logits = np.asarray(_network(image).logits, np.float64)[0]
    classifier = rkd_jax.load_classifier(untrained(temperature=temperature))
    found = classifier.classify(image)
    np.testing.assert_allclose(
        found.probabilities, softmax(logits / temperature), rtol=1e-4
    )
    assert found.predicted == CLASSES[logits.argmax()]
    assert found.probability == found.probabilities.max()
    assert (found.distance, found.distance_quantile) == (None, None)
    assert found.explanation is None
    shown = found.to_dict()
    assert list(shown["probabilities"]) == list(CLASSES)
    assert shown["image_size"] == [400, 360]


def test_files_arrays_and_grey_images_are_taken(tmp_path):
    classifier = rkd_jax.load_classifier(untrained())
    image = draw_eye()
    path = tmp_path / "eye.png"
    Image.fromarray(image).save(path)
    expected = classifier.classify(image).probabilities
    for given in (path, str(path), path.read_bytes(), image.astype(np.uint16) * 257):
        np.testing.assert_allclose(
            classifier.classify(given).probabilities, expected, rtol=1e-3
        )
    tiny = np.random.default_rng(0).integers(0, 255, (28, 28), np.uint8)
    assert classifier.classify(tiny).image_size == (28, 28)


def test_batches_are_single_images():
    classifier = rkd_jax.load_classifier(untrained())
    images = [draw_eye(), draw_eye(0.5), draw_eye(spots=())]
    squares = np.stack([classifier.square_of(image) for image in images])
    together = classifier.outputs(squares)
    alone = [classifier.outputs(square[None]) for square in squares]
    for name in together._fields:
        each = np.concatenate([getattr(one, name) for one in alone])
        np.testing.assert_allclose(getattr(together, name), each, rtol=1e-4, atol=1e-5)


def test_the_distance_is_that_of_the_features():
    images = [draw_eye(scale) for scale in (0.25, 0.3, 0.4, 0.5)]
    features = np.concatenate([_network(image).features for image in images])
    embedding = fit_embedding(features, np.array([0, 1, 2, 2]), 3)
    classifier = rkd_jax.load_classifier(untrained(embedding=embedding))
    near = classifier.classify(images[0])
    assert near.distance == pytest.approx(0, abs=0.1)
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)
    far = classifier.classify(noise)
    expected = embedding.distances(np.asarray(_network(noise).features)).item()
    assert far.distance == pytest.approx(expected, rel=1e-3)
    assert far.distance > 2 * embedding.quantiles[-1]
    assert far.distance_quantile == 1


def test_settings_of_a_file_are_those_that_were_saved(tmp_path):
    embedding = fit_embedding(np.eye(3, 6), np.arange(3), 3)
    given = settings(
        ordered=True, crop_field=True, mean=(0.1, 0.2, 0.3), temperature=1.25
    )
    path = save_untrained(
        tmp_path / "a.safetensors", **vars(given) | {"embedding": embedding}
    )
    found = rkd_jax.load_classifier(path).settings
    assert dataclasses.replace(found, embedding=None) == given
    np.testing.assert_allclose(found.embedding.center, np.eye(3, 6))


@pytest.mark.parametrize(
    ("model", "options", "size", "stride", "first"),
    [
        ("resnet", OPTIONS, 48, 4, 0),
        # 13 cells see 104 pixels: the last ones end in zeros beside the image.
        ("small_cnn", {"out_channels": 3, "channels": [4] * 4}, 100, 8, 3.5),
    ],
)
def test_an_explanation_lies_where_the_class_is_seen(
    model, options, size, stride, first
):
    facts = settings(crop_field=True, size=size).to_dict()
    tree = drawn_variables(model, options)
    classifier = rkd_jax.load_classifier(
        weight_files.Weights(model, options, tree, facts, {}, {})
    )
    image = draw_eye()
    found = classifier.classify(image, explain="many")
    assert found.explained == "many"
    assert found.explanation.shape == image.shape[:2]
    assert found.explanation[:, :38].max() == 0  # beside the field
    output = classifier.outputs(classifier.square_of(image)[None])
    kernel = np.asarray(tree["params"]["logits"]["kernel"])[:, 2]
    speaks = np.maximum(output.last_map[0] @ kernel, 0)
    speaks /= speaks.max()
    assert speaks.std() > 0.1
    centers = first + stride * np.arange(len(speaks))  # in the square
    centers = np.rint((centers + 0.5) * 320 / size - 0.5).astype(int)
    inside = centers[centers < 320]
    assert len(inside) >= len(speaks) - 1
    shown = found.explanation[np.ix_(inside + 20, inside + 40)]
    seen = speaks[: len(inside), : len(inside)]
    np.testing.assert_allclose(shown, seen, atol=0.05)
    assert classifier.classify(image, explain=True).explained == found.predicted


def test_the_map_of_a_network_that_names_no_grid_covers_the_image(monkeypatch):
    classifier = rkd_jax.load_classifier(untrained())
    image = draw_eye()
    monkeypatch.setattr(ResNet, "last_map_grid", Classifier.last_map_grid)
    found = classifier.classify(image, explain="many").explanation
    output = classifier.outputs(classifier.square_of(image)[None])
    kernel = np.asarray(variables()["params"]["logits"]["kernel"])[:, 2]
    speaks = np.maximum(output.last_map[0] @ kernel, 0)
    expected = cv2.resize(speaks / speaks.max(), image.shape[1::-1])
    # Older OpenCV rounds the places of an affine map to 1/32 of a cell.
    np.testing.assert_allclose(found, expected, atol=0.04)


def test_the_picture_of_an_explanation():
    image = draw_eye()
    found = rkd_jax.load_classifier(untrained()).classify(image, explain=True)
    picture = draw_explanation(image, found)
    assert picture.shape == (360 + 32, 800, 3)
    np.testing.assert_array_equal(picture[32:, :400], image)
    changed = (picture[32:, 400:] != image).any(axis=2)
    assert changed[found.explanation > 0.1].mean() > 0.9
    assert not changed[found.explanation == 0].any()
    with pytest.raises(ValueError, match="no explanation"):
        draw_explanation(image, dataclasses.replace(found, explanation=None))


def test_a_head_that_is_not_linear_is_not_explained(monkeypatch):
    classifier = rkd_jax.load_classifier(untrained())
    real = type(classifier).outputs
    monkeypatch.setattr(
        type(classifier),
        "outputs",
        lambda self, squares: real(self, squares)._replace(
            logits=2 * real(self, squares).logits
        ),
    )
    with pytest.raises(ValueError, match="no linear map of the mean"):
        classifier.classify(draw_eye(), explain=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ("a",)}, "expected two different ones"),
        ({"classes": ("a", "a")}, "expected two different ones"),
        ({"classes": ("a", "")}, "expected names"),
        ({"size": 0}, "size is 0; expected a whole number"),
        ({"std": (1.0, 0.0, 1.0)}, r"std is \(1.0, 0.0, 1.0\); expected three"),
        ({"mean": (0.5,)}, "mean is"),
        ({"temperature": 0.0}, "temperature is 0.0; expected a number above 0"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        settings_of(settings().to_dict() | changes, "a.safetensors")
    with pytest.raises(ValueError, match=message):
        settings(**changes)


def test_weights_that_say_something_else(tmp_path):
    with pytest.raises(ValueError, match="these weights name no classes"):
        rkd_jax.load_classifier("small")
    with pytest.raises(ValueError, match="unknown fields color of the preparation"):
        rkd_jax.load_classifier(untrained(settings().to_dict() | {"color": "green"}))
    with pytest.raises(FileNotFoundError, match="no such weight file"):
        rkd_jax.load_classifier(tmp_path / "none.safetensors")
    four = untrained(classes=(*CLASSES, "more"))
    with pytest.raises(ValueError, match="the network has 3 outputs for 4 classes"):
        rkd_jax.load_classifier(four).classify(draw_eye())
    other = fit_embedding(np.eye(3, 5), np.arange(3), 3)
    with pytest.raises(ValueError, match="the network has 6 features, the embedding 5"):
        rkd_jax.load_classifier(untrained(embedding=other)).classify(draw_eye())
    with pytest.raises(ValueError, match="explain is 'much'; expected a class: none"):
        rkd_jax.load_classifier(untrained()).classify(draw_eye(), explain="much")
    assert weight_files.model_of(weight_files.find("small")) == "superretina"
