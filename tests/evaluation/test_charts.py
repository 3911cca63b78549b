"""Charts: what is drawn are the numbers, counted by hand or by the formulas."""

import io

import numpy as np
import pytest
from PIL import Image

from rkd_jax.evaluation import charts


def test_the_curve_is_the_staircase_of_shares():
    errors = np.array([0.02, 0.03, 0.05, 0.05, 0.12, 0.15, 0.19, 0.3])
    figure = charts.error_curve({"a": errors, "b": 2 * errors}, limit=0.2)
    (axes,) = figure.axes
    *curves, failure = axes.lines
    for curve, values in zip(curves, (errors, 2 * errors), strict=True):
        assert curve.get_drawstyle() == "steps-post"
        x, y = curve.get_data()
        for level in (0.021, 0.045, 0.08, 0.14, 0.17):
            share = y[max(np.searchsorted(x, 100 * level) - 1, 0)]
            assert share == pytest.approx(np.mean(values <= level))
    assert set(failure.get_xdata()) == {10.0}
    assert axes.get_xlim() == pytest.approx((0, 20))
    labels = [text.get_text() for text in axes.get_legend().texts]
    assert [label.split(",")[1] for label in labels] == [" 8 faces"] * 2


def test_reliability_has_a_point_and_an_interval_for_each_bin():
    rows = [
        {"confidence": 0.15, "right": 0.25, "pairs": 40},
        {"confidence": 0.9, "right": 1.0, "pairs": 7},
    ]
    figure = charts.reliability_chart(rows, "a title")
    (axes,) = figure.axes
    (bars,) = axes.containers
    points, _, (ends,) = bars.lines
    np.testing.assert_array_equal(points.get_xydata(), [[0.15, 0.25], [0.9, 1.0]])
    z = 1.959964
    for row, segment in zip(rows, ends.get_segments(), strict=True):
        n, p = row["pairs"], row["right"]
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n * n))
        low, high = segment[:, 1]
        assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-6)
    assert [text.get_text() for text in axes.texts] == ["40", "7"]
    assert axes.get_title() == "a title"


def test_bars_are_as_long_as_their_values_and_named():
    values = {
        "sift": {"ours": 0.5, "paper": 0.573},
        "unet": {"ours": 0.9, "paper": None},
    }
    figure = charts.bar_chart(values, "mAUC")
    (axes,) = figure.axes
    lengths = {
        bars.get_label(): [bar.get_width() for bar in bars] for bars in axes.containers
    }
    assert lengths == {"ours": [0.5, 0.9], "paper": [0.573]}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["sift", "unet"]
    # Bars of one group lie nearer to its name than to the other's.
    for bars in axes.containers:
        for number, bar in enumerate(bars):
            away = np.abs(axes.get_yticks() - bar.get_y() - bar.get_height() / 2)
            assert away.argmin() == number


def test_equal_figures_are_equal_files():
    files = [charts.png(charts.error_curve({"a": np.ones(3)})) for _ in range(2)]
    assert files[0] == files[1]
    assert Image.open(io.BytesIO(files[0])).size == (720, 480)


def test_the_area_below_the_steps_is_the_average_precision():
    precision, recall = np.array([1.0, 0.5, 0.75]), np.array([0.25, 0.5, 1.0])
    figure = charts.precision_recall_chart({"a": (precision, recall)}, "title")
    x, y = figure.axes[0].lines[0].get_data()
    assert figure.axes[0].lines[0].get_drawstyle() == "steps-pre"
    assert np.diff(x) @ y[1:] == pytest.approx(0.25 * 1 + 0.25 * 0.5 + 0.5 * 0.75)
    assert charts.png(figure)[1:4] == b"PNG"


def test_the_froc_curve_keeps_its_points():
    false, found = np.array([0.0, 1.0, 3.0]), np.array([0.2, 0.4, 0.9])
    figure = charts.froc_chart({"a": (false, found)}, (0.5, 8.0), "title")
    axes = figure.axes[0]
    x, y = axes.lines[0].get_data()
    assert axes.lines[0].get_drawstyle() == "steps-post"
    np.testing.assert_allclose(y, found)
    np.testing.assert_allclose(x[1:], false[1:])
    assert x[0] < axes.get_xlim()[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.5", "8"]
    assert charts.png(figure)[1:4] == b"PNG"


def test_a_confusion_matrix_has_its_counts_and_shares():
    matrix = np.array([[8, 2], [0, 0]])
    axes, _ = charts.confusion_chart(matrix, ["no", "yes"], "a title").axes
    assert [text.get_text() for text in axes.texts] == ["8", "2", "0", "0"]
    places = [text.get_position() for text in axes.texts]
    assert places == [(0, 0), (1, 0), (0, 1), (1, 1)]  # columns are predicted
    (image,) = axes.images
    np.testing.assert_allclose(image.get_array(), [[0.8, 0.2], [0, 0]])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["no", "yes"]


def test_a_roc_is_drawn_as_it_is():
    false, true = np.array([0, 0.2, 1]), np.array([0, 0.7, 1])
    (axes,) = charts.roc_chart({"a": (false, true)}, "a title").axes
    diagonal, curve = axes.lines
    np.testing.assert_array_equal(curve.get_data(), [false, true])
    np.testing.assert_array_equal(diagonal.get_data(), [[0, 1], [0, 1]])
    assert [text.get_text() for text in axes.get_legend().texts] == ["a"]
