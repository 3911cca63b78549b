"""`evaluate wflw`: networks, mean face, folds, refusals."""

import csv
import json
import shutil

import numpy as np
import pytest
from made_faces import write_wflw
from PIL import Image

from rkd_jax import models, weights
from rkd_jax.data import wflw
from rkd_jax.evaluate import main
from rkd_jax.evaluation import mean_face, wflw_predictions, wflw_scores
from rkd_jax.metrics import landmarks as metrics
from rkd_jax.synthetic.faces.points import ATTRIBUTES
from rkd_jax.tasks.faces import pictures
from rkd_jax.tasks.faces.landmarker import FaceLandmarker

OPTIONS = {"widths": (4, 4, 8, 8), "descriptor_dim": 0, "out_channels": 98}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_wflw(folder, lists=("test", "train"))
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    import jax

    model = models.build("superretina", **OPTIONS)
    variables = jax.jit(model.init)(
        jax.random.PRNGKey(0), np.zeros((1, 32, 32, 1), np.float32)
    )
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    facts = {"channel": "luma", "size": 32, "box_scale": 1.2, "temperature": 0.2}
    weights.save(
        path, variables, model="superretina", options=OPTIONS, preprocess=facts
    )
    return path


def run(root, out, *more):
    return main(["wflw", "--data_dir", str(root), "--out", str(out), *map(str, more)])


@pytest.fixture(scope="module")
def finished(root, network, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    assert run(root, out, "--weights", network, "--worst", 3) == 0
    return out


def test_scores_come_from_the_saved_file_alone(finished):
    settings, saved = wflw_predictions.load_predictions(finished / "predictions.npz")
    assert settings["method"] == "network"
    assert len(saved) == 8
    unit = np.linalg.norm(saved.truth[:, 60] - saved.truth[:, 72], axis=1)
    errors = np.linalg.norm(saved.predicted - saved.truth, axis=2).mean(axis=1) / unit
    written = json.loads((finished / "metrics.json").read_text())
    assert written["subsets"]["all"]["nme"] == pytest.approx(100 * errors.mean())
    members = saved.attributes[:, 0] == 1
    assert 0 < members.sum() < 8
    assert written["subsets"]["pose"]["faces"] == members.sum()
    assert written["subsets"]["pose"]["nme"] == pytest.approx(
        100 * errors[members].mean()
    )
    with open(finished / "faces.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["face"] for row in rows] == saved.names.tolist()
    np.testing.assert_allclose(
        [float(row["error_percent"]) for row in rows], 100 * errors, atol=1e-3
    )
    again, _ = wflw_scores.score(saved)
    assert again["subsets"] == written["subsets"]


def test_pictures_are_of_the_largest_errors(finished):
    _, saved = wflw_predictions.load_predictions(finished / "predictions.npz")
    errors = metrics.face_errors(saved.predicted, saved.truth)
    worst = str(saved.names[errors.argmax()]).rpartition("/")[2].replace("#", "_face")
    files = sorted((finished / "largest_errors").glob("*.png"))
    assert len(files) == 3
    assert files[0].name == f"01_{worst}.png"
    first = np.asarray(Image.open(files[0]))
    sheet = np.asarray(Image.open(finished / "largest_errors.png"))
    np.testing.assert_array_equal(sheet[: len(first), : first.shape[1]], first)


def test_points_are_drawn_where_they_are():
    """Red where a point was found, green where it is, side by side at 98 places."""
    y, x = np.divmod(np.arange(98), 10)
    truth = np.stack([x, y], axis=-1) * 6.0 + 4.0
    found = truth + [2.0, 0.0]
    picture = pictures.face_picture(np.zeros((64, 64)), found, truth, side=512)
    for points, channel in ((truth, 1), (found, 0)):
        # Pixel centres: (x + 0.5) 8 - 0.5.
        columns, rows = np.rint((points + 0.5) * 8 - 0.5).astype(int).T
        assert (picture[rows, columns].argmax(axis=1) == channel).all()
    drawn = np.argwhere(picture.any(axis=2))[:, ::-1]
    both = (np.concatenate([truth, found]) + 0.5) * 8 - 0.5
    away = np.abs(drawn[:, None] - both[None]).max(axis=2).min(axis=1)
    assert away.max() < 9  # half of the line between, and the discs


def test_points_far_outside_are_not_drawn():
    nothing = np.full((98, 2), 1e12)
    assert not pictures.face_picture(np.zeros((64, 64)), nothing).any()


def test_networks_answer_in_pixels_of_the_picture(root, network):
    """A box and picture shifted together shift the answer."""
    align = FaceLandmarker(network)
    face = wflw.read_list(root, "test")[0]
    picture = np.asarray(Image.open(face.image))
    moved = np.pad(picture, [(11, 0), (25, 0), (0, 0)])
    here, there = align(
        [picture, moved], np.stack([face.box, face.box + [25, 11, 25, 11]])
    )
    margin = 0.1 * np.ptp(face.box[::2])
    assert (face.box[:2] > margin).all()  # no black edge in the first crop
    np.testing.assert_allclose(there, here + [25, 11], atol=0.05)


def test_a_landmarker_refuses_a_bad_box_by_the_name_of_its_picture(root, network):
    align = FaceLandmarker(network)
    assert align([], np.zeros((0, 4))).shape == (0, 98, 2)
    image = wflw.read_list(root, "test")[0].image
    with pytest.raises(ValueError, match=f"{image.name}: box .* is empty"):
        align([image], np.array([[5.0, 5.0, 5.0, 9.0]]))


def test_the_mean_face_of_one_training_face_is_that_face(root, tmp_path):
    lines = (
        root / "WFLW_annotations/list_98pt_rect_attr_train_test/"
        "list_98pt_rect_attr_test.txt"
    ).read_text()
    one = tmp_path / "one.txt"
    one.write_text(lines.splitlines()[0])
    out = tmp_path / "out"
    options = ("--method", "mean_face", "--list", one, "--train_list", one)
    assert run(root, out, *options) == 0
    written = json.loads((out / "metrics.json").read_text())
    assert written["subsets"]["all"]["nme"] == pytest.approx(0, abs=1e-9)
    assert written["subsets"]["all"]["auc"] == pytest.approx(1)


def test_folds_score_their_faces_with_the_mean_face_of_the_others(root, tmp_path):
    faces = wflw.read_list(root, "test")
    training, held = wflw.split_fold(faces, 1, 3)
    out = tmp_path / "out"
    options = ("--method", "mean_face", "--fold", 1, "--folds", 3)
    assert run(root, out, *options) == 0
    _, saved = wflw_predictions.load_predictions(out / "predictions.npz")
    assert saved.names.tolist() == [face.name for face in held]
    shape = np.zeros((98, 2))
    for face in training:
        middle = (face.box[:2] + face.box[2:]) / 2
        shape += (face.points - middle) / np.ptp(face.box.reshape(2, 2), axis=0).max()
    shape /= len(training)
    for row, face in enumerate(held):
        middle = (face.box[:2] + face.box[2:]) / 2
        side = np.ptp(face.box.reshape(2, 2), axis=0).max()
        np.testing.assert_allclose(saved.predicted[row], middle + side * shape)


def test_pupils_are_an_option(root, finished, network, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    assert run(root, out, "--weights", network, "--normalizer", "pupils") == 0
    _, saved = wflw_predictions.load_predictions(out / "predictions.npz")
    unit = np.linalg.norm(saved.truth[:, 96] - saved.truth[:, 97], axis=1)
    errors = np.linalg.norm(saved.predicted - saved.truth, axis=2).mean(axis=1) / unit
    written = json.loads((out / "metrics.json").read_text())
    assert written["subsets"]["all"]["nme"] == pytest.approx(100 * errors.mean())


def test_finished_faces_are_not_aligned_again(
    root, finished, network, tmp_path, monkeypatch
):
    def refuse(*_):
        raise AssertionError("a finished face was aligned")

    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    monkeypatch.setattr(FaceLandmarker, "__call__", refuse)
    assert run(root, out, "--weights", network) == 0
    assert (out / "metrics.json").read_text() == (finished / "metrics.json").read_text()


def test_one_folder_serves_a_list_and_parts_of_it(root, network, tmp_path):
    """Scores are of what was asked for, whatever the file holds besides."""
    options = ("--weights", network, "--worst", 2)
    assert run(root, tmp_path, *options) == 0
    whole = json.loads((tmp_path / "metrics.json").read_text())
    assert run(root, tmp_path, *options, "--fold", 1, "--folds", 2) == 0
    part = json.loads((tmp_path / "metrics.json").read_text())
    held = wflw.split_fold(wflw.read_list(root, "test"), 1, 2)[1]
    assert part["subsets"]["all"]["faces"] == len(held) < 8
    with open(tmp_path / "faces.csv", newline="") as file:
        assert [r["face"] for r in csv.DictReader(file)] == [f.name for f in held]
    # One face gets other flags: it is taken anew, and the file keeps all others.
    path = wflw.list_path(root, "test")
    lines = path.read_text().splitlines()
    words = lines[0].split(" ")
    words[200:206] = [str(1 - int(flag)) for flag in words[200:206]]
    other = tmp_path / "other.txt"
    other.write_text("\n".join([" ".join(words), lines[1]]) + "\n")
    assert run(root, tmp_path, *options, "--list", other) == 0
    _, saved = wflw_predictions.load_predictions(tmp_path / "predictions.npz")
    assert len(saved) == 8
    assert saved.of(wflw.read_list(root, str(other))).attributes[0].tolist() == [
        int(flag) for flag in words[200:206]
    ]
    assert run(root, tmp_path, *options) == 0
    again = json.loads((tmp_path / "metrics.json").read_text())
    assert again == whole
    assert len(list((tmp_path / "largest_errors").glob("*.png"))) == 2


@pytest.mark.parametrize(
    "name",
    [
        *("metrics.json", "faces.csv", "error_curve.png", "predictions.npz"),
        *("largest_errors.png", "largest_errors/01_x.png"),
    ],
)
def test_files_of_others_are_named_and_kept(root, tmp_path, capsys, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    options = ("--method", "mean_face", "--fold", 0, "--folds", 3, "--overwrite")
    assert run(root, tmp_path, *options) == 2
    assert f"{name}: " in capsys.readouterr().err
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_stopped_run_keeps_what_is_done(root, tmp_path, monkeypatch, capsys):
    place, calls = mean_face.place_mean_face, []

    def stop(shape, boxes):
        calls.append(len(boxes))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return place(shape, boxes)

    monkeypatch.setattr(wflw_predictions, "_CHUNK", 3)
    monkeypatch.setattr(mean_face, "place_mean_face", stop)
    options = ("--method", "mean_face", "--train_list", "test")
    assert run(root, tmp_path, *options) == 130
    assert capsys.readouterr().err.endswith("stopped; what is finished is kept\n")
    _, saved = wflw_predictions.load_predictions(tmp_path / "predictions.npz")
    assert len(saved) == 6
    assert run(root, tmp_path, *options) == 0
    assert calls == [3, 3, 2, 2]


def test_an_answer_grows_with_its_picture(root, network):
    align = FaceLandmarker(network)
    face = wflw.read_list(root, "test")[0]
    picture = np.asarray(Image.open(face.image))
    large = np.repeat(np.repeat(picture, 3, axis=0), 3, axis=1)
    box = np.concatenate([3 * face.box[:2], 3 * face.box[2:] + 2])
    here, there = align([picture, large], np.stack([face.box, box]))
    # Pixel centres: x goes to 3 x + 1.
    np.testing.assert_allclose(there, 3 * here + 1, atol=0.3)


def test_training_and_the_command_score_alike(root, network, tmp_path):
    """The task's evaluation of stored crops, and the pictures' points on disk."""
    from rkd_jax.config import Config, ModelConfig
    from rkd_jax.tasks import faces

    config = Config(task=faces.FacesConfig())
    config.model = ModelConfig("superretina", **OPTIONS)
    config.data.kind, config.data.val_split = "wflw", "test"
    config.data.data_dir, config.data.size = str(root), 96
    config.data.crop = 64
    config.loop.eval_pairs = 100
    loaded = weights.load(network)
    task = faces.make(config, faces.training_source(config), {})
    scores, _ = task.evaluate(loaded.variables, faces.held_out(config))
    facts = {**loaded.preprocess, "size": 64}
    path = tmp_path / "w.safetensors"
    weights.save(
        path, loaded.variables, model="superretina", options=OPTIONS, preprocess=facts
    )
    assert run(root, tmp_path / "out", "--weights", path) == 0
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["subsets"]["all"]["nme"] == pytest.approx(scores["nme"], rel=0.01)


def test_other_settings_are_refused_without_overwrite(root, finished, tmp_path, capsys):
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    assert run(root, out, "--method", "mean_face") == 2
    message = capsys.readouterr().err
    assert "method: 'network' there, 'mean_face' now" in message
    assert "--overwrite" in message
    assert run(root, out, "--method", "mean_face", "--overwrite") == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--weights is missing"),
        (("--method", "mean_face", "--weights", "x"), "takes no --weights"),
        (("--method", "mean_face", "--list", "test_blur"), "no such list"),
        (("--method", "mean_face", "--fold", "5"), "fold is 5; expected 0 to 4"),
        (("--method", "mean_face", "--folds", "3"), "--folds without --fold"),
        (("--method", "mean_face", "--fold", "0", "--folds", "0"), "fold is 0"),
        (("--weights", "x", "--train_list", "train"), "--train_list is of --method"),
        (("--weights", "/no/such.safetensors"), "no such weight file"),
    ],
)
def test_bad_usage_exits_2_with_a_remedy(root, tmp_path, capsys, options, message):
    assert run(root, tmp_path / "out", *options) == 2
    assert message in capsys.readouterr().err


def test_weights_of_another_task_are_refused(root, tmp_path, capsys):
    import jax

    options = {"widths": (4, 4, 8, 8), "descriptor_dim": 8}
    model = models.build("superretina", **options)
    variables = jax.jit(model.init)(
        jax.random.PRNGKey(0), np.zeros((1, 32, 32, 1), np.float32)
    )
    path = tmp_path / "eye.safetensors"
    weights.save(path, variables, model="superretina", options=options)
    assert run(root, tmp_path / "out", "--weights", path) == 2
    assert "1 heatmaps, not the 98 of a face" in capsys.readouterr().err


def test_weights_without_their_decoding_are_refused(root, network, tmp_path, capsys):
    loaded = weights.load(network)
    facts = {k: v for k, v in loaded.preprocess.items() if k != "temperature"}
    path = tmp_path / "w.safetensors"
    weights.save(
        path, loaded.variables, model="superretina", options=OPTIONS, preprocess=facts
    )
    assert run(root, tmp_path / "out", "--weights", path) == 2
    assert "its preprocessing lacks temperature" in capsys.readouterr().err


def test_a_broken_file_of_predictions_is_named(root, finished, tmp_path, capsys):
    whole = (finished / "predictions.npz").read_bytes()
    entry = whole.index(b"PK\x01\x02")  # in the directory: version needed at 6, flags 8
    middle = entry // 2  # of the compressed data
    broken = [b"PK\x03\x04 half", b"\x93NUMPY"]
    for at, bits in ((entry + 6, 0xFF), (entry + 8, 0x01), (middle, 0xFF)):
        broken.append(whole[:at] + bytes([whole[at] ^ bits]) + whole[at + 1 :])
    path = tmp_path / "predictions.npz"
    np.save(tmp_path / "array.npy", np.zeros(3))
    broken.append((tmp_path / "array.npy").read_bytes())
    for content in broken:
        path.write_bytes(content)
        options = ("--method", "mean_face", "--fold", 0, "--folds", 3)
        assert run(root, tmp_path, *options) == 2
        assert "not a complete file of predictions" in capsys.readouterr().err


def test_pictures_tell_rank_error_and_attributes(root, tmp_path, monkeypatch):
    captions = []

    def note(image, *_, caption):
        captions.append(caption.split("\n"))
        return np.zeros_like(image)

    monkeypatch.setattr(pictures, "face_picture", note)
    options = ("--method", "mean_face", "--fold", 0, "--folds", 3, "--worst", 2)
    assert run(root, tmp_path, *options) == 0
    _, saved = wflw_predictions.load_predictions(tmp_path / "predictions.npz")
    errors = metrics.face_errors(saved.predicted, saved.truth)
    for rank, row in enumerate(np.argsort(-errors)[:2]):
        names = [a for a, flag in zip(ATTRIBUTES, saved.attributes[row]) if flag]
        first, *rest = captions[rank]
        assert first == f"{rank + 1}: {100 * errors[row]:.1f} %"
        assert ", ".join(rest) == ", ".join(names)
