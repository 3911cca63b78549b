"""Weight files of the package are made from those of a run."""

import jax
import made_classifiers
import numpy as np
import package_weights

from rkd_jax import weights

OPTIONS = {"widths": [4, 4, 8, 8], "descriptor_dim": 8, "compute_dtype": "bfloat16"}


def test_a_packed_file_has_the_same_network_and_no_machine(tmp_path, save_untrained):
    data = {"data_dir": "/home/me/lab", "auxiliary_dir": "/home/me/idrid"}
    recipe = {"config": {"data": data, "task": {"teacher": {"weights": "/h/t.st"}}}}
    run, variables = save_untrained(OPTIONS, size=768, recipe=recipe)
    packed = tmp_path / "packed.safetensors"
    assert package_weights.main([str(run), str(packed), "--size", "640"]) == 0
    found = weights.load(packed)
    assert found.preprocess["size"] == 640
    assert found.options == {"widths": [4, 4, 8, 8], "descriptor_dim": 8}
    assert "/" not in found.metadata["recipe"]
    assert found.recipe["config"]["task"]["teacher"]["weights"] == "t.st"
    for was, now in zip(
        jax.tree.leaves(variables), jax.tree.leaves(found.variables), strict=True
    ):
        np.testing.assert_allclose(now, was, rtol=2**-10, atol=1e-7)


def test_data_of_another_task_keep_their_names():
    data = {"data_dir": "A. Segmentation", "healthy_dir": "healthy"}
    assert package_weights.neutral({"config": {"data": data}})["config"]["data"] == data


def test_the_threshold_is_changed_alone(tmp_path, save_untrained):
    run, _ = save_untrained(OPTIONS, size=768, recipe={"config": {"data": {}}})
    packed = tmp_path / "packed.safetensors"
    assert package_weights.main([str(run), str(packed), "--threshold", "0.3"]) == 0
    before, after = (weights.load(path).preprocess for path in (run, packed))
    assert after == {**before, "threshold": 0.3}


def test_what_no_detector_could_load_is_not_written(tmp_path, save_untrained, capsys):
    detector = weights.find("microaneurysms")
    keypoints, _ = save_untrained(OPTIONS, size=768, recipe={"config": {"data": {}}})
    target = tmp_path / "packed.safetensors"
    for source, value, message in (
        (detector, "3", "classifier_weight is 3.0; expected a share of 0 to 1"),
        (keypoints, "0.5", "weights of 'superretina' have no classifier_weight"),
    ):
        arguments = [str(source), str(target), "--classifier_weight", value]
        assert package_weights.main(arguments) == 2
        assert message in capsys.readouterr().err
        assert not target.exists()


def test_a_classifier_stays_as_it_was_trained(tmp_path, capsys):
    start = "/home/me/runs/drawn/weights.safetensors"
    recipe = {"config": {"data": {"data_dir": "IDRiD"}, "init_weights": start}}
    run = made_classifiers.save_untrained(
        tmp_path / "run.safetensors", recipe=recipe, temperature=1.5
    )
    packed = tmp_path / "packed.safetensors"
    assert package_weights.main([str(run), str(packed), "--size", "640"]) == 2
    assert "a classifier's size cannot be changed" in capsys.readouterr().err
    assert not packed.exists()
    assert package_weights.main([str(run), str(packed)]) == 0
    found = weights.load(packed)
    assert found.recipe["config"]["init_weights"] == "drawn"
    assert found.preprocess == weights.load(run).preprocess


def test_other_files_are_refused(tmp_path, capsys):
    target = tmp_path / "packed.safetensors"
    assert package_weights.main([str(tmp_path / "none"), str(target)]) == 2
    assert "no such weight file" in capsys.readouterr().err
    assert not target.exists()
