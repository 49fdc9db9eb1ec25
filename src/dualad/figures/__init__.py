"""Figures of the paper and of the report, drawn from the files of the result tree."""

from dualad.figures.dataset import draw_dataset_figures
from dualad.figures.inputs import MethodFiles

__all__ = ["MethodFiles", "draw_dataset_figures"]
