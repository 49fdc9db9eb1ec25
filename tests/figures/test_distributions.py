import numpy as np
import pandas as pd
import pytest

from dualad.figures.distributions import (
    confidence_figure,
    density,
    error_density_figure,
    probability_boundary,
)
from dualad.figures.inputs import Series, method_series
from dualad.figures.style import HATCH, Footnotes, styles


@pytest.fixture
def series(results):
    return method_series(results, styles({m.name: m.family for m in results}), Footnotes())


def test_two_boxes_a_method_told_apart_without_colour(series):
    axes = confidence_figure(series, "a title").axes[0]
    hatched = [patch.get_hatch() == HATCH for patch in axes.patches]
    assert len(hatched) == 2 * len(series) and sum(hatched) == len(series)
    assert [t.get_text() for t in axes.get_yticklabels()] == [one.label for one in series]


def test_confidence_without_probabilities_is_still_drawn(series):
    empty = series[0].test.assign(probability=np.nan)
    one = Series("dual", series[0].style, empty, series[0].threshold)
    confidence_figure([one], "a title").draw_without_rendering()


def test_density_panels_show_the_threshold(series):
    figure = error_density_figure(series, "a title")
    assert [axes.get_title() for axes in figure.axes] == [one.label for one in series]
    for axes, one in zip(figure.axes, series, strict=True):
        assert any(set(line.get_xdata()) == {one.threshold} for line in axes.lines)


def test_skewed_scores_get_a_logarithmic_axis(series):
    scores = np.geomspace(0.001, 10, 40)
    test = pd.DataFrame({"label": [0, 1] * 20, "score": scores, "decision": 0, "probability": 0.5})
    figure = error_density_figure([Series("x", series[0].style, test, 0.1)], "")
    assert figure.axes[0].get_xscale() == "log"


def test_density_integrates_to_one():
    x, height = density(np.random.default_rng(0).normal(size=500), -5, 5)
    assert np.trapezoid(height, x) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("scores", [[], [1.0], [2.0, 2.0]])
def test_no_density_without_two_different_scores(scores):
    assert density(np.array(scores), 0.0, 1.0) is None


def test_boundary_lies_between_the_decisions():
    test = pd.DataFrame({"decision": [0, 0, 1], "probability": [0.1, 0.4, 0.6]})
    assert probability_boundary(test) == pytest.approx(0.5)
    assert probability_boundary(test.assign(decision=1)) is None
