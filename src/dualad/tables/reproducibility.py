"""How much results vary over seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from dualad.results.experiment import method_params
from dualad.results.runs import Runs
from dualad.tables.cells import cell, new_datasets, per_cent, runs_cell, significant
from dualad.tables.formats import NO_VALUE, Table

METRICS = {"auroc": "AUROC", "balanced_accuracy": "Balanced accuracy"}
MIN_RUNS = 3
"""Runs that the test of equal spread needs of each method."""


def reproducibility_table(runs: Sequence[Runs]) -> Table:
    """The spread of every repeated method over its runs, with its seed policy.

    Methods that differ in their seed policy alone (dynamic, fixed, none) are compared on each
    dataset by the Brown-Forsythe test, Levene's test about the medians, of equal spread. Beside
    each `metrics.json`, `threshold.json` is read; a damaged one is a `DualadError`. Methods without
    repeats are passed over.
    """
    repeated = [run for run in runs if len(run.entries) > 1]
    params = [_params(run) for run in repeated]
    records = []
    for run, ours in zip(repeated, params, strict=True):
        peers = [
            other
            for other, theirs in zip(repeated, params, strict=True)
            if other.dataset == run.dataset and ours and _but_seed(theirs) == _but_seed(ours)
        ]
        records.append(_record(run, ours.get("seed"), peers))
    rows = [_row(run, record) for run, record in zip(repeated, records, strict=True)]
    statistics_columns = [column for metric in METRICS for column in _columns(metric)]
    return Table(
        caption="Mean, standard deviation and extremes over runs of one method under different "
        "seeds, in per cent; the test set is the same in all runs. A dynamic or fixed seed gives "
        "each run the same result again, bit for bit; the spread says what another seed would have "
        "given. p: Brown-Forsythe test of equal spread of the methods that differ in the seed "
        f"policy alone, where there are two with {MIN_RUNS} runs or more; a few runs show only "
        "large differences.",
        label="tab:reproducibility",
        head=[
            "Dataset",
            "Method",
            "Seed",
            "Runs",
            *(
                column
                for title in METRICS.values()
                for column in (title, "Lowest", "Highest", "p, equal spread")
            ),
            "Notes",
        ],
        rows=rows,
        texts=3,
        breaks=new_datasets(repeated),
        records=records,
        columns=["dataset", "method", "seed_policy", "runs", *statistics_columns, "notes"],
    )


def _record(run: Runs, seed: object, peers: Sequence[Runs]) -> dict[str, Any]:
    """The spread of one method on one dataset.

    Parameters
    ----------
    run
        The method's runs.
    seed
        Value of its key `seed`: the name of a policy, a number for a fixed seed, None if unknown.
    peers
        The runs on the same dataset of the methods that differ in the seed policy alone, those of
        the method among them.
    """
    policy = f"fixed ({seed})" if isinstance(seed, int) else seed
    record: dict[str, Any] = {"dataset": run.dataset, "method": run.method}
    record |= {"seed_policy": policy, "runs": len(run.done)}
    for metric in METRICS:
        values = run.values(metric)
        low, high = (min(values), max(values)) if values else (None, None)
        p = _equal_spread([peer.values(metric) for peer in peers])
        statistics = (run.mean(metric), run.deviation(metric), low, high, p)
        record |= zip(_columns(metric), statistics, strict=True)
    return record | {"notes": run.note}


def _row(run: Runs, record: Mapping[str, Any]) -> list[str]:
    """The cells of a record."""
    row = [run.dataset, run.method, record["seed_policy"] or NO_VALUE, str(record["runs"])]
    for metric in METRICS:
        *_, low, high, p = (record[column] for column in _columns(metric))
        row += [runs_cell(run, metric), cell(low, per_cent), cell(high, per_cent)]
        row.append(cell(p, significant))
    return [*row, run.note]


def _columns(metric: str) -> list[str]:
    return [f"{metric}_{statistic}" for statistic in ("mean", "sd", "min", "max", "equal_spread_p")]


def _params(runs: Runs) -> dict[str, Any]:
    return next((method_params(entry.folder) for entry in runs.done), {})


def _but_seed(params: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key not in ("seed", "repeat")}


def _equal_spread(samples: Sequence[Sequence[float]]) -> float | None:
    """The test's p; None for fewer than two samples or where it is undefined.

    The test divides by how much the distances to the median vary within the samples. Few runs on a
    small test set often tie, so that they do not vary at all: what is left then is rounding.
    """
    enough = [np.asarray(sample) for sample in samples if len(sample) >= MIN_RUNS]
    distances = [np.abs(sample - np.median(sample)) for sample in enough]
    if len(enough) < 2 or all(np.allclose(distance, distance[0]) for distance in distances):
        return None
    return float(stats.levene(*enough, center="median").pvalue)
