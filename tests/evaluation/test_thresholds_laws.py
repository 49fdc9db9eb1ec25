"""What the rules for a threshold do where the scores are poor."""

import numpy as np

from dualad.design.parameters import ThresholdParams
from dualad.evaluation.thresholds import choose_threshold


def test_f1_is_right_where_precision_and_recall_are_low() -> None:
    """Four images flagged with one hit have F1 = 0.25; all 40 flagged have 8 / 44 = 0.18."""
    labels = np.zeros(40, np.int64)
    labels[[3, 37, 38, 39]] = 1
    scores = np.arange(40, 0, -1).astype(float)
    chosen = choose_threshold(scores, labels, ThresholdParams(rule="f1"))
    assert np.sum(scores > chosen.value) == 4
    assert (chosen.tpr, chosen.fpr) == (1 / 4, 3 / 36)
