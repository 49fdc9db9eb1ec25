"""The page that leads to everything: `results/index.html`."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dualad.data.dataset import Dataset
from dualad.design.products import figure_labels, figure_targets, table_targets
from dualad.design.targets import Design
from dualad.figures.inputs import MethodResults
from dualad.files import reading
from dualad.pages.method_gallery import FILE as GALLERY
from dualad.pages.method_gallery import method_pictures, read_method
from dualad.pages.pictures import Picture
from dualad.pages.rendering import link, write_page
from dualad.pages.summary import (
    Rows,
    method_marks,
    read_differences,
    recommended_method,
    standing,
    verdict,
    warnings,
)
from dualad.results.experiment import read_metrics

_PACKAGES = (
    *("dualad", "tensorflow", "keras", "keras-tuner", "numpy", "scipy", "pandas", "scikit-learn"),
    *("scikit-image", "pillow", "h5py", "matplotlib", "snakemake"),
)


@dataclass(frozen=True)
class Example:
    """A test image, and what became of it."""

    heading: str
    name: str
    defect: str
    picture: Picture
    link: str


@dataclass(frozen=True)
class Row:
    """A method in a dataset's list of all methods."""

    name: str
    link: str
    """To its gallery; empty without a result."""
    auroc: float | None = None
    interval: Sequence[float] | None = None
    tpr: float | None = None
    fpr: float | None = None
    marks: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """What the page shows of a dataset."""

    name: str
    rows: Sequence[Row]
    method: str = ""
    """The recommended method; empty without any result."""
    reason: str = ""
    sentence: str = ""
    standing: str = ""
    warnings: Sequence[str] = ()
    gallery: str = ""
    examples: Sequence[Example] = ()
    figures: Sequence[tuple[str, str]] = ()
    """Title and link."""


def write_index(path: Path, design: Design) -> None:
    """Write the page from the finished files below `results/`, in the working directory.

    Parameters
    ----------
    path
        `results/index.html`; links are relative to its folder.
    design
        What was run.

    Raises
    ------
    DualadError
        If a file cannot be read, or the page not be written.
    """
    root = path.parent
    differences = read_differences(root / "tables/differences.csv")
    sections = [_section(root / name, design, differences) for name in design.datasets]
    write_page(
        path,
        "index.html",
        sections=sections,
        n_methods=len(design.first_runs),
        paper=_paper_rows(root / "paper/comparison.csv"),
        tables=[
            (target.title, link(f"tables/{name}.html"))
            for name, target in table_targets(design).items()
            # A table of results that were not asked for has the paper's values alone.
            if target.results or target.product.results == "nothing"
        ],
        figures=[_figure_link("figures", name) for name in figure_targets(design)],
        written=datetime.now(UTC),
        computed=_computed(design),
        versions=dict(_versions()),
    )


def _section(folder: Path, design: Design, differences: Rows) -> Section:
    name = folder.name
    names = [method for method in design.first_runs if design.methods[method].runs_on(name)]
    found = {method: read_metrics(folder / method) for method in names}
    rows = [_row(folder / method, metrics) for method, metrics in found.items()]
    method, reason = recommended_method(folder)
    metrics = found.get(method)
    if metrics is None:
        return Section(name, rows)
    difference = differences.get((name, method))
    images = Path(design.images_file(name, method))
    return Section(
        name,
        rows,
        method=method,
        reason=reason,
        sentence=verdict(metrics, difference),
        standing=standing(difference),
        warnings=warnings(folder, metrics, names),
        gallery=_gallery_link(folder / method),
        examples=_examples(folder, images, read_method(folder / method)),
        figures=[
            _figure_link(f"{name}/figures", path.stem)
            for path in sorted((folder / "figures").glob("*.png"))
        ],
    )


def _row(folder: Path, metrics: Mapping[str, Any] | None) -> Row:
    if metrics is None:
        return Row(folder.name, "", marks=["no result"])
    interval = (metrics.get("ci") or {}).get("auroc")
    return Row(
        folder.name,
        _gallery_link(folder),
        metrics["auroc"],
        interval,
        metrics["tpr"],
        metrics["fpr"],
        method_marks(metrics),
    )


def _gallery_link(folder: Path) -> str:
    return link(f"{folder.parent.name}/{folder.name}/{GALLERY}")


def _examples(folder: Path, images: Path, method: MethodResults) -> list[Example]:
    """A hit and a miss of a method, where it has them.

    The hit is the found anomaly in the middle of all that were found, by its score. The miss is the
    wrongly decided image furthest from the threshold, an anomaly if one was missed.
    """
    test = method.test
    label, decision, scores = (test[key].to_numpy() for key in ("label", "decision", "score"))
    found = np.flatnonzero((label == 1) & (decision == 1))
    missed = np.flatnonzero((label == 1) & (decision == 0))
    alarms = np.flatnonzero((label == 0) & (decision == 1))
    chosen: dict[int, str] = {}
    if len(found):
        chosen[int(found[np.argsort(scores[found], kind="stable")[len(found) // 2]])] = "A hit"
    if len(missed):
        chosen[int(missed[np.argmin(scores[missed])])] = "A miss"
    elif len(alarms):
        chosen[int(alarms[np.argmax(scores[alarms])])] = "A false alarm"
    with Dataset(folder / "dataset.h5") as dataset:
        pictures = method_pictures(images, dataset, method, np.array(list(chosen), dtype=np.int64))
    gallery = _gallery_link(method.folder)
    return [
        Example(
            heading,
            str(test["image"].iloc[position]),
            str(test["defect"].iloc[position]),
            pictures[position],
            f"{gallery}#image-{position}",
        )
        for position, heading in chosen.items()
    ]


def _figure_link(folder: str, stem: str) -> tuple[str, str]:
    labels = figure_labels(stem)
    method = "" if labels["method"] == "(all)" else f", {labels['method']}"
    return f"{labels['figure']}{method}", link(f"{folder}/{stem}.png")


def _paper_rows(path: Path) -> list[dict[str, Any]]:
    """The paper's balanced accuracies (its column AUROC of Table 6) beside ours."""
    with reading(path):
        table = pd.read_csv(path, keep_default_na=False, dtype=str)
        shown = table[
            (table["source"] == "Table 6")
            & (table["metric"] == "auroc")
            & (table["status"] == "compared")
        ]
        numbers = ("paper", "ours", "ours_ci_lo", "ours_ci_hi", "our_auroc")
        return [
            {
                **{key: row[key] for key in ("dataset", "method", "notes")},
                **{key: float(row[key]) if row[key] else None for key in numbers},
            }
            for row in shown.to_dict("records")
        ]


def _computed(design: Design) -> tuple[datetime, datetime] | None:
    """When the first and the last method were evaluated, by the times of their files."""
    paths = [path for name in design.metrics_files() if (path := Path(name)).exists()]
    times = [datetime.fromtimestamp(path.stat().st_mtime, UTC) for path in paths]
    return (min(times), max(times)) if times else None


def _versions() -> Iterator[tuple[str, str]]:
    """Of Python, of this package and of what its results depend on; of those that are installed.

    The jobs' conda environments read the package's sources without installing them.
    """
    yield "Python", platform.python_version()
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            yield package, version(package)
