"""Calibrators against scikit-learn, through JSON, and the calibration error against hand counts."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from dualad.errors import DualadError
from dualad.evaluation.calibration import (
    calibrator_from_json,
    expected_calibration_error,
    fit_calibrator,
)

RNG = np.random.default_rng(3)
LABELS = RNG.integers(0, 2, 200)
SCORES = RNG.normal(size=200) * 4 + 3 * LABELS + 100
NEW = np.linspace(80, 130, 77)


def test_logistic_is_scikit_learns() -> None:
    calibrator = fit_calibrator("logistic", SCORES, LABELS)
    assert calibrator is not None
    standardised = (SCORES - SCORES.mean()) / SCORES.std()
    model = LogisticRegression().fit(standardised[:, None], LABELS)
    expected = model.predict_proba(((NEW - SCORES.mean()) / SCORES.std())[:, None])[:, 1]
    np.testing.assert_allclose(calibrator.probabilities(NEW), expected, atol=1e-12)


def test_isotonic_is_scikit_learns() -> None:
    calibrator = fit_calibrator("isotonic", SCORES, LABELS)
    assert calibrator is not None
    model = IsotonicRegression(out_of_bounds="clip").fit(SCORES, LABELS)
    np.testing.assert_allclose(calibrator.probabilities(NEW), model.predict(NEW), atol=1e-12)


@pytest.mark.parametrize("kind", ["logistic", "isotonic"])
def test_calibrators_survive_json_to_the_bit(kind: str) -> None:
    calibrator = fit_calibrator(kind, SCORES, LABELS)  # type: ignore[arg-type]
    assert calibrator is not None
    restored = calibrator_from_json(json.loads(json.dumps(calibrator.to_json())))
    assert restored == calibrator
    np.testing.assert_array_equal(restored.probabilities(NEW), calibrator.probabilities(NEW))
    assert np.all(np.diff(calibrator.probabilities(NEW)) >= 0)


@pytest.mark.parametrize("kind", ["logistic", "isotonic"])
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_gives_no_probability(kind: str, label: int) -> None:
    assert fit_calibrator(kind, [1.0, 2.0], [label, label]) is None  # type: ignore[arg-type]
    assert calibrator_from_json(None) is None


def test_constant_scores_give_the_base_rate() -> None:
    for kind in ("logistic", "isotonic"):
        calibrator = fit_calibrator(kind, np.ones(8), [0, 0, 0, 0, 0, 0, 1, 1])  # type: ignore[arg-type]
        assert calibrator is not None
        np.testing.assert_allclose(calibrator.probabilities([1.0]), [0.25], atol=1e-4)


def test_unknown_calibrator_is_named() -> None:
    with pytest.raises(DualadError, match="choose logistic or isotonic"):
        fit_calibrator("beta", SCORES, LABELS)  # type: ignore[arg-type]


def test_calibration_error_of_worked_cases() -> None:
    assert expected_calibration_error([0.0, 1.0], [0, 1], 10) == 0
    assert expected_calibration_error([0.0, 1.0], [1, 0], 10) == 1
    # Bin [0.2, 0.3): mean 0.25, one of four anomalous. Bin [0.9, 1]: mean 0.95, one of two.
    probabilities = [0.25, 0.25, 0.25, 0.25, 0.95, 0.95]
    expected = (4 * 0 + 2 * 0.45) / 6
    assert expected_calibration_error(probabilities, [0, 0, 0, 1, 0, 1], 10) == pytest.approx(
        expected
    )


@settings(deadline=None)
@given(
    arrays(np.float64, 30, elements=st.floats(0, 1)),
    arrays(np.int64, 30, elements=st.integers(0, 1)),
    st.integers(1, 20),
)
def test_calibration_error_equals_a_plain_loop(
    probabilities: np.ndarray, labels: np.ndarray, bins: int
) -> None:
    total = 0.0
    for number in range(bins):
        inside = np.minimum(np.floor(probabilities * bins), bins - 1) == number
        if np.any(inside):
            gap = abs(probabilities[inside].mean() - labels[inside].mean())
            total += np.mean(inside) * gap
    assert expected_calibration_error(probabilities, labels, bins) == pytest.approx(total)
    # One bin sees the means only; more bins can but see more.
    coarse = expected_calibration_error(probabilities, labels, 1)
    assert coarse <= expected_calibration_error(probabilities, labels, bins) + 1e-12
