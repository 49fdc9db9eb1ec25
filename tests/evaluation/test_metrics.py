"""Image metrics against published values, scikit-learn and laws of invariance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judgements import judgements
from sklearn import metrics as sk

from dualad.evaluation.calibration import expected_calibration_error
from dualad.evaluation.metrics import (
    IMAGE_METRICS,
    Judgement,
    confusion_counts,
    image_metrics,
    rates,
)

COLUMNS = ("balanced_accuracy", "f1", "f2", "tpr", "tnr", "fpr", "precision", "g_mean", "mcc")
TABLE_6 = {
    "zipper": (96, 25, (92.96, 97.41, 97.71, 97.92, 88.00, 12.00, 96.91, 92.83, 87.24), 87.21),
    "hazelnut": (56, 32, (91.74, 93.69, 93.19, 92.86, 90.63, 9.38, 94.55, 91.73, 82.95), 82.93),
    "metal_nut": (75, 17, (96.39, 98.67, 98.67, 98.67, 94.12, 5.88, 98.67, 96.37, 92.78), 92.78),
    "rope": (55, 52, (94.23, 94.83, 97.86, 100.00, 88.46, 11.54, 90.16, 94.05, 89.31), 88.74),
}
MATRICES = {
    "zipper": {"tp": 94, "fp": 3, "tn": 22, "fn": 2},
    "hazelnut": {"tp": 52, "fp": 3, "tn": 29, "fn": 4},
    "metal_nut": {"tp": 74, "fp": 1, "tn": 16, "fn": 1},
    "rope": {"tp": 55, "fp": 6, "tn": 46, "fn": 0},
}


@pytest.mark.parametrize("row", TABLE_6)
def test_one_integer_matrix_reproduces_the_papers_row(row: str) -> None:
    anomalous, normal, printed, kappa = TABLE_6[row]

    def fits(counts: dict[str, int]) -> bool:
        found = rates(*(np.array([counts[key]]) for key in ("tp", "fp", "tn", "fn")))
        values = {key: float(value[0]) for key, value in found.items()}
        return all(
            abs(100 * value - expected) < 0.0051
            for value, expected in zip(
                (*(values[key] for key in COLUMNS), values["kappa"]),
                (*printed, kappa),
                strict=True,
            )
        )

    matrices = (
        {"tp": tp, "fp": normal - tn, "tn": tn, "fn": anomalous - tp}
        for tp in range(anomalous + 1)
        for tn in range(normal + 1)
    )
    assert [matrix for matrix in matrices if fits(matrix)] == [MATRICES[row]]


@settings(deadline=None, max_examples=25)
@given(judgements())
def test_values_are_scikit_learns_and_undefined_ones_are_none(judgement: Judgement) -> None:
    y, d = judgement.labels, judgement.decisions
    values = image_metrics(judgement, 10)
    assert tuple(values) == IMAGE_METRICS
    tn, fp, fn, tp = sk.confusion_matrix(y, d, labels=[0, 1]).ravel()
    expected = {
        "auroc": sk.roc_auc_score(y, judgement.scores),
        "auprc": sk.average_precision_score(y, judgement.scores),
        "balanced_accuracy": sk.balanced_accuracy_score(y, d),
        "f1": sk.f1_score(y, d),
        "f2": sk.fbeta_score(y, d, beta=2),
        "tpr": sk.recall_score(y, d),
        "tnr": sk.recall_score(y, d, pos_label=0),
        "fpr": fp / (fp + tn),
        "precision": sk.precision_score(y, d, zero_division=0) if tp + fp else None,
        "g_mean": np.sqrt(tp / (tp + fn) * tn / (tn + fp)),
        "mcc": sk.matthews_corrcoef(y, d) if len(np.unique(d)) == 2 else None,
        "kappa": sk.cohen_kappa_score(y, d),
        "ece": None
        if judgement.probabilities is None
        else expected_calibration_error(judgement.probabilities, y, 10),
    }
    assert values == pytest.approx(expected)
    counts = confusion_counts(y, d)
    from_counts = rates(*(np.array([counts[key]]) for key in ("tp", "fp", "tn", "fn")))
    for key, value in from_counts.items():
        assert (None if np.isnan(value[0]) else float(value[0])) == pytest.approx(values[key])


def test_undefined_metrics_of_a_single_class() -> None:
    ones = np.ones(4, dtype=np.int64)
    normal_only = image_metrics(Judgement(0 * ones, np.arange(4.0), 0 * ones, None), 10)
    assert {key for key, value in normal_only.items() if value is not None} == {"tnr", "fpr"}
    anomalous_only = image_metrics(Judgement(ones, np.arange(4.0), ones, None), 10)
    assert {key for key, value in anomalous_only.items() if value is not None} == {
        *("f1", "f2", "tpr", "precision")
    }


@settings(deadline=None, max_examples=10)
@given(judgements(), st.floats(0.5, 3), st.floats(-10, 10))
def test_ranking_metrics_see_the_order_only(
    judgement: Judgement, factor: float, shift: float
) -> None:
    ranks = np.unique(judgement.scores, return_inverse=True)[1]
    moved = np.sinh(factor * ranks / 20) + shift
    for key in ("auroc", "auprc"):
        other = Judgement(judgement.labels, moved, judgement.decisions, None)
        assert image_metrics(other, 10)[key] == pytest.approx(image_metrics(judgement, 10)[key])
