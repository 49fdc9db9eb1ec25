"""The tables by name: what the workflow writes one by one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dualad.design.experiments import Method
from dualad.design.products import TABLES
from dualad.results.batch_search import read_optima
from dualad.results.runs import read_runs
from dualad.tables.formats import write_table


def write_named_table(
    name: str,
    prefix: Path | str,
    paths: Sequence[Path | str],
    methods: Mapping[str, Method],
    image_size: int | None = None,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    reference: str | None = None,
) -> list[Path]:
    """Write the table of that name, as `prefix` with `.csv`, `.md`, `.tex` and `.html`.

    Parameters
    ----------
    name
        A name in `dualad.design.products.TABLES`, such as `table06_performance`.
    prefix
        Path without suffix.
    paths
        Paths of the results that the table shows, in the order of the rows:
        `results/{dataset}/{method}/metrics.json`, or `results/{dataset}/batch_search/result.json`
        for a table on Algorithm 1. A missing file leaves a gap.
    methods
        The methods by name, for the tables that show or compare parameters; for Table 9 the full
        method first. Repeats are passed over.
    image_size
        Side of the grey images in pixels, for Table 7.
    resamples, confidence
        Number of bootstrap samples and coverage of the intervals that tables of differences
        compute themselves.
    reference
        Name of the method that the table of differences compares all others with.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    DualadError
        If a file exists but cannot be read.
    """
    table = TABLES[name].build(
        {
            "paths": lambda: paths,
            "runs": lambda: read_runs(paths),
            "optima": lambda: read_optima(paths),
            "methods": lambda: methods,
            "names": lambda: [name for name, method in methods.items() if name == method.base],
            "image_size": lambda: image_size,
            "resamples": lambda: resamples,
            "confidence": lambda: confidence,
            "reference": lambda: reference,
        }
    )
    return write_table(prefix, table)
