"""What there is to say of a dataset's results: a verdict in one sentence, and what limits it."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dualad.design.families import FAMILIES
from dualad.files import read_json, reading
from dualad.results.experiment import dataset_note, read_attempts
from dualad.results.recommendation import read_recommendation
from dualad.tables.cells import cell, fraction, per_cent, signed

_SMALL = 50
"""Images of a class below which one image more moves a rate by more than two points."""

Rows = Mapping[tuple[str, str], Mapping[str, str]]
"""Rows of the table of differences, by dataset and method."""


def read_differences(path: Path) -> Rows:
    """Read `tables/differences.csv`.

    Raises
    ------
    DualadError
        If the file is missing or damaged.
    """
    with reading(path), path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return {(row["dataset"], row["method"]): row for row in csv.DictReader(file)}


def recommended_method(folder: Path) -> tuple[str, str]:
    """The method that the validation images of a dataset recommend, and why; empty without one.

    Parameters
    ----------
    folder
        `results/{dataset}`.

    Raises
    ------
    DualadError
        If `recommended.json` cannot be read.
    """
    path = folder / "recommended.json"
    recommended = read_recommendation(path)
    if recommended is None:
        return "", ""
    with reading(path):
        return str(recommended["method"]), str(recommended["reason"])


def verdict(metrics: Mapping[str, Any], difference: Mapping[str, str] | None) -> str:
    """Say in a sentence what a method did on the test images.

    Parameters
    ----------
    metrics
        Content of `metrics.json`.
    difference
        Its row of the table of differences; None without one.
    """
    counts = metrics["counts"]
    anomalous, normal = counts["tp"] + counts["fn"], counts["fp"] + counts["tn"]
    auroc = cell(metrics["auroc"], fraction, (metrics.get("ci") or {}).get("auroc"))
    return (
        f"finds {counts['tp']} of {anomalous} anomalous test images and raises "
        f"{_plural(counts['fp'], 'false alarm')} on {normal} normal ones; its AUROC is {auroc}"
        f"{_against_control(metrics['method'], difference)}."
    )


def _against_control(method: str, difference: Mapping[str, str] | None) -> str:
    """How it compares with the control that is hardest to beat, that of highest test AUROC."""
    control = difference["test_control"] if difference else ""
    if difference is None or not control:
        return ", and no control without a network was run beside it"
    if control == method:
        return ", and it is itself the best control without a network"
    if not difference["test_control_difference"]:
        return ""
    ends = [difference[f"test_control_difference_ci_{end}"] for end in ("lo", "hi")]
    interval = [float(end) for end in ends] if all(ends) else None
    points = f"{cell(float(difference['test_control_difference']), signed, interval)} points"
    match difference["test_control_verdict"]:
        case "better":
            return f", better than that of {control}, the best control without a network ({points})"
        case "worse":
            return f", worse than that of {control}, a control without a network ({points})"
        case _:
            return (
                f", which these images do not tell from that of {control}, the best control "
                f"without a network ({points})"
            )


def standing(difference: Mapping[str, str] | None) -> str:
    """`better`, `worse` or `not told apart` from the best control; empty without a comparison."""
    return difference["test_control_verdict"] if difference else ""


def warnings(folder: Path, metrics: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """What a reader has to know before trusting a dataset's results.

    Parameters
    ----------
    folder
        `results/{dataset}`.
    metrics
        Content of the recommended method's `metrics.json`.
    names
        All methods that ran on the dataset.

    Returns
    -------
    list
        Phrases, of which the first ones are about the dataset.

    Raises
    ------
    DualadError
        If a file cannot be read.
    """
    return [
        *filter(None, [dataset_note(folder)]),
        *_left_out(read_json(folder / "dataset.json")),
        *_small_sets(metrics["counts"]),
        *_no_width(metrics),
        *_clamped(read_json(folder / "plan.json")),
        *(f"{metrics['method']}: {note}" for note in metrics.get("notes") or ()),
        *_missed_rate(metrics),
        *(text for name in names for text in _diverged(folder / name)),
    ]


def _left_out(described: Mapping[str, Any]) -> list[str]:
    found = []
    if duplicates := described.get("duplicates"):
        found.append(
            f"{_plural(len(duplicates), 'training image')} left out: equal to a validation or test "
            "image byte for byte"
        )
    if unreadable := described.get("unreadable"):
        found.append(f"{_plural(len(unreadable), 'image')} left out: not readable")
    return found


def _small_sets(counts: Mapping[str, int]) -> list[str]:
    sizes = {
        "anomalous": (counts["tp"] + counts["fn"], "TPR"),
        "normal": (counts["fp"] + counts["tn"], "FPR"),
    }
    return [
        f"small test set: with {n} {kind} images, one of them moves the {rate} by "
        f"{per_cent(1 / n)} points"
        for kind, (n, rate) in sizes.items()
        if 0 < n < _SMALL
    ]


def _no_width(metrics: Mapping[str, Any]) -> list[str]:
    interval = (metrics.get("ci") or {}).get("auroc")
    if not interval or interval[0] < interval[1]:
        return []
    return [
        "no anomalous test image scores below a normal one, so the interval of the AUROC has no "
        "width; that is not certainty"
    ]


def _clamped(plan: Mapping[str, Any]) -> list[str]:
    if not plan.get("clamped"):
        return []
    return [
        f"batch size clamped to {plan['batch_size']}: the paper's formula gives "
        f"{plan['formula_value']:.1f}"
    ]


def _missed_rate(metrics: Mapping[str, Any]) -> list[str]:
    """A conformal threshold whose false positive rate is above the wanted one beyond chance."""
    rule = metrics.get("threshold") or {}
    interval = (metrics.get("ci") or {}).get("fpr")
    if rule.get("rule") != "conformal" or not interval or interval[0] <= rule["alpha"]:
        return []
    return [
        f"the threshold did not transfer: a false positive rate of {per_cent(rule['alpha'])} % was "
        f"wanted, {cell(metrics['fpr'], per_cent, interval)} % was reached"
    ]


def _diverged(folder: Path) -> list[str]:
    attempts = read_attempts(folder)
    if attempts is None or "diverged" not in attempts:
        return []
    diverged = int(np.sum(attempts["diverged"] == True))  # noqa: E712
    if not diverged:
        return []
    return [f"{folder.name}: {diverged} of {_plural(len(attempts), 'attempt')} diverged"]


def method_marks(metrics: Mapping[str, Any]) -> list[str]:
    """Marks of a method in a list of all: `control`, and what limits its result."""
    family = FAMILIES.get(str(metrics.get("family")))
    control = ["control"] if family is not None and family.is_control else []
    return [*control, *dict.fromkeys(metrics.get("notes") or ())]


def _plural(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
