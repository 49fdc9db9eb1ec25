"""The tables by name: what the workflow writes one by one."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dualad.batch_law import write_batch_law
from dualad.experiments import Method
from dualad.tables.ablation import write_table09
from dualad.tables.calibration import write_table10
from dualad.tables.cost import write_costs
from dualad.tables.encoders import write_table08
from dualad.tables.methods import write_table07
from dualad.tables.performance import write_table06
from dualad.tables.ranking import write_ranks
from dualad.tables.reproducibility import write_reproducibility

_WRITERS: dict[str, Callable[[Path | str, Sequence[Path | str]], list[Path]]] = {
    "table06_performance": write_table06,
    "table10_calibration": write_table10,
    "reproducibility": write_reproducibility,
    "ranks": write_ranks,
    "costs": write_costs,
    "batch_law": write_batch_law,
}


def write_named_table(
    name: str,
    prefix: Path | str,
    inputs: Sequence[Path | str],
    methods: Mapping[str, Method],
    image_size: int | None = None,
) -> list[Path]:
    """Write the table of that name, as `prefix` with four suffixes.

    Parameters
    ----------
    name
        `table06_performance` and so on, the names of the workflow's targets.
    prefix
        Path without suffix.
    inputs
        Metrics of the experiments, or for `batch_law` the results of the batch searches.
    methods
        The methods that Tables 7 to 9 compare, for Table 9 the full one first; others ignore it.
    image_size
        Side of the gray images, for Table 7.

    Returns
    -------
    The files written.

    Raises
    ------
    DualadError
        If a file is there but cannot be read.
    """
    compared = [name for name, method in methods.items() if name == method.base]
    match name:
        case "table07_methods":
            return write_table07(prefix, methods, image_size)
        case "table08_encoders":
            return write_table08(prefix, inputs, compared)
        case "table09_ablation":
            return write_table09(prefix, inputs, compared)
        case _:
            return _WRITERS[name](prefix, inputs)
