"""A gallery: images sorted by their score, with a threshold that can be moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from dualad.figures.score_axis import is_skewed
from dualad.pages.pictures import Picture
from dualad.pages.rendering import write_page

MOST_PICTURES = 200
"""Images that a gallery shows at most."""
_MOST_NAMES = 20_000
"""Images whose names are in the page, beside those that it shows."""
_VALUE = "VALUE"
"""Stands in the lines for the configuration where the threshold is to be."""

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Gallery:
    """What a gallery shows."""

    title: str
    rows: pd.DataFrame
    """A row per image: `image` (its name) and `score`; `label` (0 normal, 1 anomalous) and `defect`
    where the truth is known; and, of what the method has, `p_value` and `uncertainty`, the standard
    deviation of the score under Monte Carlo dropout."""
    threshold: float
    """Images that score above it are called anomalous."""
    rule: str
    """How it was chosen, in words."""
    pictures: Mapping[int, Picture]
    """By the position of the image in `rows`; `shown_images` says of which ones to make them."""
    facts: Sequence[str] = ()
    """Sentences below the title."""
    notes: Sequence[str] = ()
    """What limits the result."""
    home: str = ""
    """Link to the page that leads to all galleries."""
    entry: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The entry of the configuration's section `methods` that would set a threshold, by the new
    method's name; see `threshold_entry`."""


def shown_images(
    scores: NDArray[np.float64],
    threshold: float,
    labels: NDArray[np.int64] | None = None,
    most: int = MOST_PICTURES,
) -> Indices:
    """Choose the images that a gallery shows.

    These are all images if there are not too many. Otherwise half of the places go to the mistakes,
    the furthest from the threshold first, or without labels to the images next to the threshold;
    the other images are taken at equal distances in the order of the scores.

    Parameters
    ----------
    scores
        (n,) higher is more anomalous.
    threshold
        Images above it are called anomalous.
    labels
        (n,) 0 normal, 1 anomalous; None where the truth is not known.
    most
        How many to choose at most.

    Returns
    -------
    numpy.ndarray
        Positions, the highest score first.
    """
    order = np.argsort(-scores, kind="stable")
    if len(order) <= most:
        return order
    margin = np.abs(scores - threshold)
    if labels is None:
        first = np.argsort(margin, kind="stable")
    else:
        wrong = np.flatnonzero((scores > threshold) != (labels == 1))
        first = wrong[np.argsort(-margin[wrong], kind="stable")]
    first = first[: most // 2]
    others = order[~np.isin(order, first)]
    spread = np.linspace(0, len(others) - 1, most - len(first)).round().astype(int)
    return order[np.isin(order, np.append(first, others[spread]))]


def threshold_entry(name: str, entry: Mapping[str, Any], dataset: str) -> dict[str, dict[str, Any]]:
    """The configuration of a method that differs from another one by its threshold alone.

    As a method of its own for one dataset it leaves all others as they are, and nothing is trained
    for it: stages that it has in common with the other method are copied.

    Parameters
    ----------
    name
        The other method.
    entry
        Its entry in the configuration's section `methods`.
    dataset
        The dataset.

    Returns
    -------
    dict
        The new method's entry, by its name.
    """
    left_out = ("table", "repeats", "datasets", "threshold")
    kept = {key: value for key, value in entry.items() if key not in left_out}
    return {
        f"{name}_on_{dataset}": {
            **kept,
            "datasets": [dataset],
            "threshold": {"rule": "fixed", "value": _VALUE},
        }
    }


def write_gallery(path: Path, gallery: Gallery) -> None:
    """Write a gallery as one HTML file that needs no other, and no network.

    Parameters
    ----------
    path
        The file.
    gallery
        What it shows; a score that is not finite cannot be shown.

    Raises
    ------
    DualadError
        If the file cannot be written.
    """
    rows = gallery.rows.reset_index(drop=True)
    scores = rows["score"].to_numpy(dtype=np.float64)
    order = np.argsort(-scores, kind="stable").tolist()
    write_page(
        path,
        "gallery.html",
        gallery=gallery,
        n_images=len(rows),
        cards=[_card(rows, i, gallery.pictures[i]) for i in order if i in gallery.pictures],
        labelled="label" in rows,
        has_heat=any(picture.heat for picture in gallery.pictures.values()),
        has_outlines=any(picture.outline for picture in gallery.pictures.values()),
        defects=_defects(rows),
        values=_values(rows, gallery),
        entry=_as_yaml(gallery.entry),
    )


def _card(rows: pd.DataFrame, position: int, picture: Picture) -> dict[str, Any]:
    row = rows.iloc[position]
    known = {key: row[key] for key in ("p_value", "uncertainty") if key in row}
    return {
        "position": position,
        "picture": picture,
        "name": str(row["image"]),
        "defect": str(row.get("defect", "")),
        "score": float(row["score"]),
        **{key: float(value) for key, value in known.items() if not pd.isna(value)},
    }


def _defects(rows: pd.DataFrame) -> list[str]:
    """Names of the kinds of image, those of normal images first."""
    if "label" not in rows:
        return []
    ordered = rows.sort_values(["label", "defect"], kind="stable")
    return list(dict.fromkeys(ordered["defect"].astype(str)))


def _values(rows: pd.DataFrame, gallery: Gallery) -> dict[str, Any]:
    """What the page's script computes with."""
    labelled = "label" in rows
    defects = {defect: number for number, defect in enumerate(_defects(rows))}
    named = len(rows) <= _MOST_NAMES
    scores = rows["score"].to_numpy(dtype=np.float64)
    return {
        "threshold": gallery.threshold,
        "logarithmic": is_skewed(scores),
        "scores": scores.tolist(),
        "labels": rows["label"].astype(int).tolist() if labelled else None,
        "defects": [defects[str(name)] for name in rows["defect"]] if labelled else None,
        "names": rows["image"].astype(str).tolist() if named else None,
    }


def _as_yaml(entry: Mapping[str, Mapping[str, Any]]) -> str:
    """Lines for the section `methods`, with `VALUE` in place of the threshold."""
    if not entry:
        return ""
    text: str = yaml.safe_dump(
        {"methods": {name: dict(values) for name, values in entry.items()}},
        sort_keys=False,
        default_flow_style=None,
        allow_unicode=True,
        width=80,
    )
    return text.strip()
