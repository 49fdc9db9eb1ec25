"""What the recommended methods are worth on the test images, beside every other choice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from scipy.stats import rankdata

from dualad.evaluation.bootstrap import Interval, Resampling
from dualad.files import reading
from dualad.results.recommendation import read_recommendation
from dualad.results.runs import Runs, joined, read_runs
from dualad.tables.ablation import difference_intervals
from dualad.tables.cells import cell, datasets_caption, per_cent, percent
from dualad.tables.formats import NO_VALUE, Table

_COLUMNS = (
    "choice",
    "datasets",
    "method",
    *(
        f"{evidence}_auroc{end}"
        for evidence in ("validation", "synthetic", "test")
        for end in ("", "_ci_lo", "_ci_hi")
    ),
    "best_method",
    "best_auroc",
    "right",
    "regret",
    "regret_ci_lo",
    "regret_ci_hi",
    "rank",
    "candidates",
    "notes",
)


def recommended_table(
    paths: Sequence[Path | str], *, resamples: int = 1000, confidence: float = 0.95
) -> Table:
    """The recommended methods on the test images, and the choices of one method for all datasets.

    The regret of a choice is the test AUROC of the candidate of highest test AUROC minus that of
    the chosen one, at least 0.

    Parameters
    ----------
    paths
        `results/{dataset}/recommended.json` per dataset. Beside each, `metrics.json` and
        `scores.csv` of every candidate are read. A missing file, or one without a candidate that
        has a test AUROC, gives no row.
    resamples, confidence
        Number of bootstrap samples and coverage of the intervals of regrets.

    Raises
    ------
    DualadError
        If a file cannot be read, or the confidence is not between 0 and 1.
    """
    resampling = Resampling(resamples, confidence)
    read = [_read_outcome(Path(path), resampling) for path in paths]
    outcomes = [outcome for outcome in read if outcome is not None]
    records = [
        *(_record_of(outcome) for outcome in outcomes),
        *(_records_across(outcomes) if outcomes else ()),
    ]
    caption = (
        "The method that each dataset's validation images recommend (recommended.json has the rule "
        "and all candidates), its AUROC on the validation images, on synthetic defects and on the "
        "test images, in per cent with bootstrap intervals in brackets. Regret: what the candidate "
        "of highest test AUROC would have had more, in percentage points; its interval resamples "
        "the test images once for both. The best candidate is known from the test images alone, "
        "so the regret is too large rather than too small. Below, means over all datasets, and "
        "what one and the same method for every dataset would have had."
    )
    return Table(
        caption=caption
        + datasets_caption([next(iter(outcome.runs.values())) for outcome in outcomes]),
        label="tab:recommended",
        head=[
            *("Choice", "Datasets", "Method", "Validation AUROC", "AUROC on synthetic defects"),
            *("Test AUROC", "Best on test", "Regret", "Rank", "Notes"),
        ],
        rows=[_row(record) for record in records],
        texts=3,
        breaks=frozenset({len(outcomes)}) if outcomes else frozenset(),
        records=records,
        columns=_COLUMNS,
    )


@dataclass(frozen=True)
class _Outcome:
    """A recommendation, and what its candidates did on the test images."""

    dataset: str
    chosen: Mapping[str, Any]
    """The recommended candidate's entry in `recommended.json`."""
    runs: Mapping[str, Runs]
    """By method, of the candidates with a test AUROC: the recommended one and maybe others."""
    regret_interval: Interval

    @cached_property
    def aurocs(self) -> dict[str, float]:
        """Test AUROC by method."""
        return {name: float(runs.first["auroc"]) for name, runs in self.runs.items()}

    @property
    def method(self) -> str:
        """Name of the recommended method."""
        return str(self.chosen["method"])

    @property
    def best(self) -> str:
        """Name of the method of highest test AUROC, the recommended one if several tie."""
        return max(self.aurocs, key=lambda name: (self.aurocs[name], name == self.method))

    def regret(self, method: str) -> float:
        """How far a method's test AUROC is below the highest."""
        return self.aurocs[self.best] - self.aurocs[method]

    def rank(self, method: str) -> float:
        """Rank of a method by test AUROC, 1 the best; ties share their mean."""
        ranks = rankdata(-np.array(list(self.aurocs.values())))
        return float(ranks[list(self.aurocs).index(method)])


def _read_outcome(path: Path, resampling: Resampling) -> _Outcome | None:
    recommended = read_recommendation(path)
    if recommended is None:
        return None
    with reading(path):
        chosen, *others = recommended["candidates"]
        names = [str(entry["method"]) for entry in (chosen, *others)]
    found = read_runs([path.parent / name / "metrics.json" for name in names])
    runs = {run.method: run for run in found if run.first.get("auroc") is not None}
    if chosen["method"] not in runs:
        return None
    outcome = _Outcome(path.parent.name, chosen, runs, None)
    if outcome.best == outcome.method:
        return outcome
    intervals = difference_intervals(runs[outcome.best], runs[outcome.method], resampling)
    return _Outcome(path.parent.name, chosen, runs, intervals.get("auroc"))


def _record_of(outcome: _Outcome) -> dict[str, Any]:
    runs, chosen = outcome.runs[outcome.method], outcome.chosen
    return {
        "choice": "recommended",
        "datasets": outcome.dataset,
        "method": outcome.method,
        **_with_interval("validation_auroc", *_value(chosen, "validation_auroc")),
        **_with_interval("synthetic_auroc", *_value(chosen, "synthetic_auroc")),
        **_with_interval(
            "test_auroc", runs.first["auroc"], (runs.first.get("ci") or {}).get("auroc")
        ),
        "best_method": outcome.best,
        "best_auroc": outcome.aurocs[outcome.best],
        "right": float(outcome.best == outcome.method),
        **_with_interval("regret", outcome.regret(outcome.method), outcome.regret_interval),
        "rank": outcome.rank(outcome.method),
        "candidates": len(outcome.runs),
        "notes": joined(*runs.method_notes),
    }


def _records_across(outcomes: Sequence[_Outcome]) -> list[dict[str, Any]]:
    """The recommendations over all datasets, then every candidate of all, the best first."""
    everywhere = [
        name for name in outcomes[0].runs if all(name in outcome.runs for outcome in outcomes)
    ]
    fixed = [
        _record_across(f"always {name}", outcomes, [name] * len(outcomes)) for name in everywhere
    ]
    recommended = [outcome.method for outcome in outcomes]
    return [
        _record_across("recommended", outcomes, recommended),
        *sorted(fixed, key=lambda record: (record["regret"], record["choice"])),
    ]


def _record_across(
    choice: str, outcomes: Sequence[_Outcome], methods: Sequence[str]
) -> dict[str, Any]:
    """Means over the datasets; `right` is the share of them on which the choice is the best."""
    pairs = list(zip(outcomes, methods, strict=True))
    regrets = [outcome.regret(method) for outcome, method in pairs]
    values = {
        "choice": choice,
        "datasets": f"all {len(outcomes)}",
        "test_auroc": fmean(outcome.aurocs[method] for outcome, method in pairs),
        "best_auroc": fmean(outcome.aurocs[outcome.best] for outcome in outcomes),
        "right": fmean(regret == 0 for regret in regrets),
        "regret": fmean(regrets),
        "rank": fmean(outcome.rank(method) for outcome, method in pairs),
    }
    return {column: values.get(column) for column in _COLUMNS}


def _value(entry: Mapping[str, Any], name: str) -> tuple[float | None, Interval]:
    """A value of a candidate in `recommended.json`, and its interval."""
    return entry[name], entry[f"{name}_ci"]


def _with_interval(name: str, value: float | None, interval: Interval) -> dict[str, Any]:
    low, high = interval or (None, None)
    return {name: value, f"{name}_ci_lo": low, f"{name}_ci_hi": high}


def _row(record: Mapping[str, Any]) -> list[str]:
    def with_interval(name: str) -> str:
        low = record[f"{name}_ci_lo"]
        interval = None if low is None else (low, record[f"{name}_ci_hi"])
        return cell(record[name], per_cent, interval)

    across = record["method"] is None
    best = f"{record['best_method']} ({percent(record['best_auroc'])})"
    rank = f"{record['rank']:g} of {record['candidates']}"
    return [
        record["choice"],
        record["datasets"],
        NO_VALUE if across else record["method"],
        with_interval("validation_auroc"),
        with_interval("synthetic_auroc"),
        with_interval("test_auroc"),
        f"in {percent(record['right'])} %" if across else best,
        with_interval("regret"),
        f"{record['rank']:.2f}" if across else rank,
        record["notes"] or "",
    ]
