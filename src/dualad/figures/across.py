"""The figures across datasets by name: what the workflow draws one by one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dualad.design.products import FIGURES, METHOD_MARK, SWEEP_FIGURE
from dualad.figures.inputs import load_experiments, read_results
from dualad.figures.style import save_figure
from dualad.figures.sweeps import SweepResults, read_sweep
from dualad.paper.batch_law import fit_batch_law
from dualad.results.batch_search import read_optima


def draw_across(
    figure: str,
    out_dir: Path,
    paths: Sequence[Path | str],
    sweep: tuple[str, str, Sequence[str], Sequence[str]] | None = None,
    families: Mapping[str, str] | None = None,
) -> list[Path]:
    """Draw one figure as PNG and PDF.

    Parameters
    ----------
    figure
        A name in `dualad.design.products.FIGURES`, followed by `__` and the name of the method if
        there is a figure for each of several methods; for a sweep any name.
    out_dir
        Where `<figure>.png` and `<figure>.pdf` go; made if missing.
    paths
        Paths of the results that the figure shows: `results/{dataset}/{method}/metrics.json`,
        `results/{dataset}/batch_search/result.json`, or the folders of a sweep. A missing file is
        a gap in the figure.
    sweep
        For a sweep: its name, its key, the datasets in the order of `paths`, the values' names.
    families
        Families of all methods of the configuration by name, in its order, which decide how a
        method looks.

    Returns
    -------
    list of Path
        The PNG and the PDF.

    Raises
    ------
    DualadError
        If a file exists but cannot be read, or if a figure of one method gets several.
    """
    product = SWEEP_FIGURE if sweep else FIGURES[figure.partition(METHOD_MARK)[0]]
    drawn = product.build(
        {
            "results": lambda: read_results(paths, families),
            "experiments": lambda: load_experiments(paths),
            "optima": lambda: read_optima(paths),
            "law": lambda: fit_batch_law(read_optima(paths)),
            "sweep_name": lambda: sweep and sweep[0],
            "sweep": lambda: sweep and _read_sweep(paths, *sweep),
        }
    )
    return save_figure(drawn, Path(out_dir), figure)


def _read_sweep(
    folders: Sequence[Path | str],
    name: str,
    factor: str,
    datasets: Sequence[str],
    values: Sequence[str],
) -> SweepResults:
    return read_sweep(name, factor, dict(zip(datasets, folders, strict=True)), values)
