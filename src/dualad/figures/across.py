"""Figures across datasets by name: what the workflow draws one by one."""

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from dualad.figures.batch_law import batch_law_figure
from dualad.figures.critical_difference import critical_difference_figure
from dualad.figures.heatmaps import metrics_figure
from dualad.figures.inputs import load_experiments, read_results
from dualad.figures.overview import auroc_overview_figure
from dualad.figures.performance import performance_across_figure
from dualad.figures.pictures import localisation_across_figure, mistakes_across_figure
from dualad.figures.repeats import repeats_figure
from dualad.figures.style import save_figure
from dualad.figures.sweeps import read_sweep, sweep_figure
from dualad.figures.trade_offs import bubbles_figure, costs_figure
from dualad.paper.batch_law import fit_batch_law
from dualad.results.batch_search import read_optima

Paths = Sequence[Path | str]


def _batch_law(result_json: Paths) -> Figure:
    optima = read_optima(result_json)
    return batch_law_figure(optima, fit_batch_law(optima))


FIGURES: dict[str, Callable[[Paths], Figure]] = {
    "fig02_batch_law": _batch_law,
    "fig04_performance": lambda paths: performance_across_figure(load_experiments(paths)),
    "auroc_overview": lambda paths: auroc_overview_figure(read_results(paths)),
    "fig05_heatmaps": lambda paths: metrics_figure(read_results(paths)),
    "fig06_bubbles": lambda paths: bubbles_figure(read_results(paths)),
    "fig11_localisation": lambda paths: localisation_across_figure(load_experiments(paths)),
    "fig12_false_positives": lambda paths: mistakes_across_figure(load_experiments(paths), label=0),
    "fig13_false_negatives": lambda paths: mistakes_across_figure(load_experiments(paths), label=1),
    "critical_difference": lambda paths: critical_difference_figure(read_results(paths)),
    "costs": lambda paths: costs_figure(read_results(paths)),
    "repeats": lambda paths: repeats_figure(read_results(paths)),
}
"""Functions of the results' paths, by the figure's name.

The paths are `results/{dataset}/{method}/metrics.json` of every experiment, or of one method where
the figure shows one; for Fig. 2 `results/{dataset}/batch_search/result.json`. Other files are read
beside them.
"""


def draw_across(
    figure: str,
    out_dir: Path,
    paths: Paths,
    sweep: tuple[str, str, Sequence[str], Sequence[str]] | None = None,
) -> list[Path]:
    """Draw one figure as PNG and PDF.

    Parameters
    ----------
    figure
        Its name; for one of several methods `<name>__<method>`.
    out_dir
        Where `<figure>.png` and `<figure>.pdf` go; made if missing.
    paths
        As `FIGURES` says; or a sweep's folders. A missing `metrics.json` is a gap in the figure.
    sweep
        For a sweep: its name, its key, the datasets in the order of `paths`, the values' names.

    Returns
    -------
    The files written.

    Raises
    ------
    DualadError
        If a file is there but cannot be read, or there are several methods in a figure of one.
    """
    if sweep is None:
        drawn = FIGURES[figure.partition("__")[0]](paths)
    else:
        name, factor, datasets, values = sweep
        folders = dict(zip(datasets, paths, strict=True))
        drawn = sweep_figure(name, read_sweep(name, factor, folders, values))
    return save_figure(drawn, Path(out_dir), figure)
