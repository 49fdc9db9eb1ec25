"""Figures across datasets by name: what the workflow draws one by one."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dualad.figures.batch_law import draw_batch_law
from dualad.figures.critical_difference import draw_critical_difference
from dualad.figures.heatmaps import draw_heatmaps
from dualad.figures.inputs import MethodFiles
from dualad.figures.overview import draw_auroc_overview
from dualad.figures.performance import draw_performance
from dualad.figures.pictures import (
    draw_false_negatives,
    draw_false_positives,
    draw_localisation,
)
from dualad.figures.repeats import draw_repeats
from dualad.figures.sweeps import draw_sweep
from dualad.figures.trade_offs import draw_bubbles, draw_costs

Draw = Callable[[Path, Sequence[Path | str]], list[Path]]

FIGURES: dict[str, Draw] = {
    "fig02_batch_law": lambda prefix, inputs: draw_batch_law(prefix.parent, inputs),
    "fig04_performance": draw_performance,
    "auroc_overview": draw_auroc_overview,
    "fig05_heatmaps": draw_heatmaps,
    "fig06_bubbles": draw_bubbles,
    "fig11_localisation": draw_localisation,
    "fig12_false_positives": draw_false_positives,
    "fig13_false_negatives": draw_false_negatives,
    "critical_difference": draw_critical_difference,
    "costs": draw_costs,
    "repeats": draw_repeats,
}
"""Functions of a path without suffix and of results, by the figure's name."""


def draw_across(
    figure: str,
    out_dir: Path,
    inputs: Sequence[str],
    sweep: tuple[str, str, Sequence[str], Sequence[str]] | None = None,
) -> list[Path]:
    """Draw one figure.

    Parameters
    ----------
    figure
        Its name; for one of several methods `<name>__<method>`.
    out_dir
        Where `<figure>.png` and `<figure>.pdf` go.
    inputs
        Metrics of every experiment; results of the batch searches; or a sweep's folders.
    sweep
        For a sweep: its name, its key, the datasets in the order of `inputs`, the values' names.
    """
    prefix = Path(out_dir) / figure
    if sweep is None:
        return FIGURES[figure.partition("__")[0]](prefix, inputs)
    name, factor, datasets, values = sweep
    folders: dict[str, Path | str] = dict(zip(datasets, inputs, strict=True))
    return draw_sweep(prefix, name, factor, folders, values)


def draw_cross_figures(
    out_dir: Path | str,
    datasets: Mapping[str, Sequence[MethodFiles]],
    *,
    performance_of: Sequence[str] = (),
) -> list[Path]:
    """Draw `auroc_overview`, and `fig04_performance__{method}` of some methods.

    Parameters
    ----------
    out_dir
        Made if missing.
    datasets
        The methods' files per dataset. Where `metrics.json` is missing the figures have a gap.
    performance_of
        Methods that get a Fig. 4; the first method if none is named.

    Returns
    -------
    The files written.
    """
    every = [files.metrics_json for methods in datasets.values() for files in methods]
    written = []
    for method in performance_of or list(dict.fromkeys(path.parent.name for path in every))[:1]:
        own = [path for path in every if path.parent.name == method]
        written += draw_performance(Path(out_dir) / f"fig04_performance__{method}", own)
    return [*written, *draw_auroc_overview(Path(out_dir) / "auroc_overview", every)]
