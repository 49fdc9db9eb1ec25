"""Paired differences in AUROC: how far a method is from the controls, and from one other method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from dualad.design.families import FAMILIES, SEMI_SUPERVISED
from dualad.errors import DualadError
from dualad.evaluation.bootstrap import (
    Interval,
    ResampledMetrics,
    Resampling,
    percentile_intervals,
)
from dualad.evaluation.metrics import Judgement
from dualad.results.experiment import read_scores, read_test_scores
from dualad.results.runs import Runs

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A method's AUROC minus that of another one, on the same test images."""

    other: str = ""
    """The other method; empty if there is none to compare with."""
    value: float | None = None
    """In [-1, 1]; None for the other method itself, and where one of the two has no AUROC."""
    interval: Interval = None
    """Paired bootstrap interval."""

    @property
    def verdict(self) -> str:
        """`better` or `worse` where 0 is outside the interval, else `not told apart`.

        Empty without an interval.
        """
        if self.value is None or self.interval is None:
            return ""
        low, high = self.interval
        return "better" if low > 0 else "worse" if high < 0 else "not told apart"


@dataclass(frozen=True)
class Compared:
    """A method on a dataset, and its differences from what it has to beat."""

    runs: Runs
    control: Difference
    """From the control of highest AUROC on the validation images."""
    hardest: Difference
    """From the control of highest AUROC on the test images, which is chosen with hindsight."""
    reference: Difference


def compare_methods(
    runs: Sequence[Runs], reference: str | None, resampling: Resampling
) -> list[Compared]:
    """Compare every method with the best controls of its dataset and with one named method.

    Methods that were fitted on labels of anomalies are compared with all controls, the others with
    those controls that were not. The earlier one wins a tie. Where the validation images are of one
    class only, no control can be chosen by them. Of several runs, the AUROCs are averaged.

    Parameters
    ----------
    runs
        Results of methods on datasets; beside each `metrics.json`, `scores.csv` is read.
    reference
        Name of the method that all others are compared with; None for none.
    resampling
        How the bootstrap samples are drawn: once for all methods of a dataset, each class by
        itself. The choice of a control is not repeated in a sample.

    Returns
    -------
    list
        In the order of `runs`, dataset by dataset.

    Raises
    ------
    DualadError
        If a file cannot be read, or two methods were tested on different images.
    """
    by_dataset: dict[str, list[Runs]] = {}
    for run in runs:
        by_dataset.setdefault(run.dataset, []).append(run)
    return [
        compared
        for methods in by_dataset.values()
        for compared in _compare_on_one(methods, reference, resampling)
    ]


def _compare_on_one(
    methods: Sequence[Runs], reference: str | None, resampling: Resampling
) -> list[Compared]:
    """The methods of one dataset."""
    controls = [run for run in methods if _is_control(run)]
    on_validation = {run.method: _validation_auroc(run) for run in controls}
    on_test = {run.method: run.mean("auroc") for run in controls}
    others: dict[str, tuple[str, str, str]] = {}
    for run in methods:
        allowed = [c.method for c in controls if uses_labels(run) or not uses_labels(c)]
        others[run.method] = (
            _best(allowed, on_validation),
            _best(allowed, on_test),
            next((m.method for m in methods if m.method == reference), ""),
        )
    pairs = {(method, other) for method, chosen in others.items() for other in chosen}
    intervals = _intervals(methods, sorted(pairs), resampling)
    means = {run.method: run.mean("auroc") for run in methods}
    return [
        Compared(
            run,
            *(
                _difference(run.method, other, means, intervals.get((run.method, other)))
                for other in others[run.method]
            ),
        )
        for run in methods
    ]


def uses_labels(runs: Runs) -> bool:
    """Whether a method was fitted on labels of anomalies."""
    return any(SEMI_SUPERVISED in note for note in runs.method_notes)


def _is_control(runs: Runs) -> bool:
    family = FAMILIES.get(str(runs.first.get("family")))
    return family is not None and family.is_control


def _best(names: Sequence[str], values: Mapping[str, float | None]) -> str:
    """The name of the highest value, the first on a tie; empty if none has a value."""
    known = {name: value for name in names if (value := values[name]) is not None}
    return max(known, key=lambda name: known[name], default="")


def _difference(
    method: str, other: str, means: Mapping[str, float | None], interval: Interval
) -> Difference:
    ours, theirs = means[method], means.get(other)
    if method == other or ours is None or theirs is None:
        return Difference(other)
    return Difference(other, ours - theirs, interval)


def _validation_auroc(runs: Runs) -> float | None:
    """AUROC on the validation images, averaged over the runs; None where it is undefined."""
    found = []
    for entry in runs.done:
        if not (entry.folder / "scores.csv").exists():
            return None
        scores = read_scores(entry.folder)
        validation = scores[scores["split"] == "val"]
        if validation["label"].nunique() < 2:
            return None
        found.append(float(roc_auc_score(validation["label"], validation["score"])))
    return fmean(found) if found else None


def _intervals(
    methods: Sequence[Runs], pairs: Sequence[tuple[str, str]], resampling: Resampling
) -> dict[tuple[str, str], Interval]:
    """Bootstrap intervals of the first method's AUROC minus the second's; a pair may be missing."""
    scored = [run for run in methods if has_scores(run)]
    if not scored:
        return {}
    aligned = aligned_test_scores(scored)
    anomalous = aligned[0][0]["label"].to_numpy() == 1
    metrics_of = {
        run.method: [ResampledMetrics(judgement(table)) for table in tables]
        for run, tables in zip(scored, aligned, strict=True)
    }
    names = {f"{a} - {b}": (a, b) for a, b in pairs if a != b and {a, b} <= metrics_of.keys()}

    def differences(drawn: Counts) -> dict[str, Floats]:
        means = {
            method: np.mean([of_run(drawn)["auroc"] for of_run in of_runs], axis=0)
            for method, of_runs in metrics_of.items()
        }
        return {name: means[a] - means[b] for name, (a, b) in names.items()}

    found = percentile_intervals(anomalous, differences, resampling)
    return {names[name]: interval for name, interval in found.items()}


def has_scores(runs: Runs) -> bool:
    """Whether a method has a result, and every run of it a `scores.csv`."""
    return bool(runs.done) and all((e.folder / "scores.csv").exists() for e in runs.done)


def aligned_test_scores(compared: Sequence[Runs]) -> list[list[pd.DataFrame]]:
    """The test images' scores of every run, by method, in the same order of images.

    Raises
    ------
    DualadError
        If a `scores.csv` cannot be read, or they name different test images.
    """
    tables = [[read_test_scores(entry.folder) for entry in runs.done] for runs in compared]
    # Sorted, so that samples do not depend on the order of the rows.
    images = tables[0][0].index.sort_values()
    for runs, scores in zip(compared, tables, strict=True):
        for entry, table in zip(runs.done, scores, strict=True):
            if set(table.index) != set(images):
                raise DualadError(
                    f"{entry.folder / 'scores.csv'}: the test images are not those of "
                    f"{compared[0].done[0].folder / 'scores.csv'}; delete both and run the "
                    "workflow again"
                )
    return [[table.loc[images] for table in scores] for scores in tables]


def judgement(table: pd.DataFrame) -> Judgement:
    """What a run says about the test images, from the rows of its `scores.csv`."""
    return Judgement(
        labels=table["label"].to_numpy(dtype=np.int64),
        scores=table["score"].to_numpy(dtype=np.float64),
        decisions=table["decision"].to_numpy(dtype=np.int64),
        probabilities=None,
    )
