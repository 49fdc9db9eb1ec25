"""Finished searches of the batch size: `results/{dataset}/batch_search`."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dualad.files import read_json, reading, write_json, write_text


@dataclass(frozen=True)
class Evaluation:
    """One line of the search, as Tables 4 and 5 print them."""

    batch_size: int
    auroc: float | None
    """A fraction in [0, 1]; None for a batch size that was too large and only halved."""
    origin: str
    """What it was computed from, such as `65 / 2` or `(65 + 131) / 2`; halves are rounded down."""


@dataclass(frozen=True)
class BatchSearch:
    """What a search tried, in order, and under which settings."""

    n_images: int
    """Number of all images of the dataset, the paper's N."""
    max_batch: int | None
    epsilon: int
    start_limit: int
    evaluations: tuple[Evaluation, ...]

    @property
    def best(self) -> Evaluation:
        """The evaluation of highest AUROC, the first one of several."""
        return max(
            (evaluation for evaluation in self.evaluations if evaluation.auroc is not None),
            key=lambda evaluation: evaluation.auroc or 0.0,
        )

    @property
    def steps(self) -> list[dict[str, Any]]:
        """A row per evaluation: step (from 1), batch_size, auroc, origin, best (1 in one row)."""
        return [
            {
                "step": step,
                "batch_size": evaluation.batch_size,
                "auroc": evaluation.auroc,
                "origin": evaluation.origin,
                "best": int(evaluation is self.best),
            }
            for step, evaluation in enumerate(self.evaluations, start=1)
        ]


@dataclass(frozen=True)
class Optimum:
    """The batch size that Algorithm 1 found for a dataset."""

    dataset: str
    n_images: int
    """Number of all images of the dataset, the paper's N."""
    batch_size: int


def write_batch_search(found: BatchSearch, evaluations_csv: Path, result_json: Path) -> None:
    """Write a search as `evaluations.csv` and `result.json`.

    Parameters
    ----------
    found
        A finished search.
    evaluations_csv
        Gets the columns step (from 1), batch_size, auroc (a fraction; empty where a size was only
        halved), origin and best (1 in one row, 0 elsewhere).
    result_json
        Gets n_images, batch_size, auroc, the settings and the number of evaluations.

    Raises
    ------
    DualadError
        If a file cannot be written.
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(found.steps[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found.steps)
    write_text(evaluations_csv, buffer.getvalue())
    write_json(
        result_json,
        {
            "n_images": found.n_images,
            "batch_size": found.best.batch_size,
            "auroc": found.best.auroc,
            "max_batch": found.max_batch,
            "epsilon": found.epsilon,
            "start_limit": found.start_limit,
            "n_evaluated": sum(evaluation.auroc is not None for evaluation in found.evaluations),
        },
    )


def read_batch_search(folder: Path) -> BatchSearch:
    """Read `evaluations.csv` and `result.json` of a search.

    Parameters
    ----------
    folder
        `results/{dataset}/batch_search`.

    Raises
    ------
    DualadError
        If a file is missing or damaged; the message names it.
    """
    path = folder / "evaluations.csv"
    with reading(path), path.open(encoding="utf-8", newline="") as file:
        evaluations = tuple(
            Evaluation(
                int(row["batch_size"]),
                float(row["auroc"]) if row["auroc"] else None,
                row["origin"],
            )
            for row in csv.DictReader(file)
        )
        if all(evaluation.auroc is None for evaluation in evaluations):
            raise ValueError("no batch size was evaluated")
    path = folder / "result.json"
    result = read_json(path)
    with reading(path):
        return BatchSearch(
            n_images=result["n_images"],
            max_batch=result["max_batch"],
            epsilon=result["epsilon"],
            start_limit=result["start_limit"],
            evaluations=evaluations,
        )


def read_optima(result_json: Sequence[Path | str]) -> list[Optimum]:
    """Read what the searches found.

    Parameters
    ----------
    result_json
        `results/{dataset}/batch_search/result.json` per dataset.

    Raises
    ------
    DualadError
        If a file is missing or damaged; the message names it.
    """
    optima = []
    for path in map(Path, result_json):
        result = read_json(path)
        with reading(path):
            sizes = int(result["n_images"]), int(result["batch_size"])
        optima.append(Optimum(path.parent.parent.name, *sizes))
    return optima
