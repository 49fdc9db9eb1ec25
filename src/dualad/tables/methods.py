"""What the methods are (Table 7)."""

from collections.abc import Mapping
from typing import Any

from dualad.design.experiments import Method
from dualad.tables.formats import NO_VALUE, Table

_COLUMNS = {
    "title": "Family",
    "category": "Category",
    "mechanism": "Mechanism",
    "publication": "Publication",
    "sees": "Sees",
    "backbone": "Backbone",
    "weights": "Weights",
    "notes": "Notes",
}


def methods_table(methods: Mapping[str, Method], image_size: int | None = None) -> Table:
    """What every method is, from the registry of families and the methods' parameters.

    The CSV has a row per method; for people, methods that differ in nothing shown share one.

    Parameters
    ----------
    methods
        Methods by name; repeats (dual@1) are passed over.
    image_size
        Side of the gray images; left out of the table if None.
    """
    records = [
        _record(name, method, image_size) for name, method in methods.items() if name == method.base
    ]
    shared: dict[tuple[str, ...], list[str]] = {}
    for record in records:
        about = tuple(str(record[key] or NO_VALUE) for key in list(_COLUMNS)[:-1])
        shared.setdefault((*about, record["notes"]), []).append(record["method"])
    return Table(
        caption="The methods; those that share a row differ in other parameters. Sees: gray or "
        "colour images, and their side in pixels. An interpretation is our reading of a "
        "publication that leaves much open. Random weights are no pretrained network at all.",
        label="tab:methods",
        head=["Methods", *_COLUMNS.values()],
        rows=[[", ".join(names), *cells] for cells, names in shared.items()],
        texts=len(_COLUMNS),
        wrapped=frozenset({0, 3, 4}),
        records=records,
    )


def _record(name: str, method: Method, image_size: int | None) -> dict[str, Any]:
    about = method.about
    weights = getattr(method.params, "weights", None)
    colour = method.input_size
    notes = [*about.notes, *(["random features"] if weights == "random" else [])]
    return {
        "method": name,
        "family": method.family,
        "title": about.title,
        "category": about.category,
        "mechanism": about.summary,
        "publication": about.publication,
        "interpretation": about.interpretation,
        "sees": f"colour {colour}" if colour else f"gray {image_size or ''}".strip(),
        "backbone": getattr(method.params, "backbone", None),
        "weights": weights,
        "notes": "; ".join(notes),
    }
