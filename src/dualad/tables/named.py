"""The tables by name: what the workflow writes one by one."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dualad.design.experiments import Method
from dualad.results.batch_search import read_optima
from dualad.results.runs import Runs, read_runs
from dualad.tables.ablation import ablation_table
from dualad.tables.batch_law import batch_law_table
from dualad.tables.batch_search import batch_search_table
from dualad.tables.calibration import calibration_table
from dualad.tables.cost import costs_table
from dualad.tables.encoders import encoders_table
from dualad.tables.formats import Table, write_table
from dualad.tables.methods import methods_table
from dualad.tables.performance import performance_table
from dualad.tables.ranking import ranks_table
from dualad.tables.reproducibility import reproducibility_table

_OF_RESULTS: dict[str, Callable[[Sequence[Runs]], Table]] = {
    "table06_performance": performance_table,
    "table10_calibration": calibration_table,
    "reproducibility": reproducibility_table,
    "ranks": ranks_table,
    "costs": costs_table,
}


def write_named_table(
    name: str,
    prefix: Path | str,
    paths: Sequence[Path | str],
    methods: Mapping[str, Method],
    image_size: int | None = None,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> list[Path]:
    """Write the table of that name, as `prefix` with `.csv`, `.md`, `.tex` and `.html`.

    Parameters
    ----------
    name
        `table06_performance` and so on, the names of the workflow's targets.
    prefix
        Path without suffix.
    paths
        `results/{dataset}/{method}/metrics.json` in the rows' order, those of repeats (dual@1)
        among them; a missing file leaves a gap. The note in `results/{dataset}/dataset.json`, if
        any, goes into the notes. For Tables 4 and 5 and for `batch_law`,
        `results/{dataset}/batch_search/result.json`.
    methods
        The methods that Tables 7 to 9 compare, for Table 9 the full one first; others ignore it.
    image_size
        Side of the gray images, for Table 7.
    resamples, confidence
        Number of bootstrap samples and coverage of the intervals that Table 9 computes itself.

    Returns
    -------
    The files written.

    Raises
    ------
    DualadError
        If a file is there but cannot be read.
    """
    if name == "table09_ablation":
        runs = read_runs(paths)
        table = ablation_table(runs, _first(methods), resamples=resamples, confidence=confidence)
    else:
        table = _table(name, paths, methods, image_size)
    return write_table(prefix, table)


def _table(
    name: str,
    paths: Sequence[Path | str],
    methods: Mapping[str, Method],
    image_size: int | None,
) -> Table:
    if name == "table07_methods":
        return methods_table(methods, image_size)
    if name == "table04_05_batch_search":
        return batch_search_table(paths)
    if name == "batch_law":
        return batch_law_table(read_optima(paths))
    runs = read_runs(paths)
    if name == "table08_encoders":
        return encoders_table(runs, _first(methods))
    return _OF_RESULTS[name](runs)


def _first(methods: Mapping[str, Method]) -> list[str]:
    """Names of the methods that repeat no other."""
    return [name for name, method in methods.items() if name == method.base]
