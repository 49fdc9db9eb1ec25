"""Figures across datasets by name: what the workflow draws one by one."""

from collections.abc import Callable, Sequence
from pathlib import Path

from dualad.figures.batch_law import draw_batch_law
from dualad.figures.heatmaps import draw_heatmaps
from dualad.figures.sweeps import draw_sweep
from dualad.figures.trade_offs import draw_bubbles, draw_costs, draw_ranks

DRAWN: dict[str, Callable[[Path, Sequence[Path | str]], list[Path]]] = {
    "fig02_batch_law": draw_batch_law,
    "fig05_heatmaps": draw_heatmaps,
    "fig06_bubbles": draw_bubbles,
    "critical_difference": draw_ranks,
    "costs": draw_costs,
}
"""Functions of a folder to draw into and of the results, by the figure's name."""


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
        Its name.
    out_dir
        Where `<figure>.png` and `<figure>.pdf` go.
    inputs
        Metrics of every experiment; results of the batch searches; or a sweep's folders.
    sweep
        For a sweep: its name, its key, the datasets in the order of `inputs`, the values' names.
    """
    if sweep is None:
        return DRAWN[figure](out_dir, inputs)
    name, factor, datasets, values = sweep
    folders: dict[str, Path | str] = dict(zip(datasets, inputs, strict=True))
    return draw_sweep(out_dir, name, factor, folders, values)
