"""The paper's law of the batch size and ours (eq. 25)."""

from collections.abc import Mapping, Sequence
from typing import Any

from dualad.paper.batch_law import (
    COEFFICIENTS,
    LARGEST,
    PAPER_ROWS,
    REGIMES,
    BatchLaw,
    Regime,
    fit_batch_law,
    paper_law,
)
from dualad.results.batch_search import Optimum
from dualad.tables.formats import NO_VALUE, Table


def batch_law_table(optima: Sequence[Optimum]) -> Table:
    """Eq. 25's coefficients beside ours, and where each law asks for less than one image.

    Parameters
    ----------
    optima
        What Algorithm 1 found here.
    """
    laws = {"paper": paper_law(), "ours": fit_batch_law(optima)}
    records = [_record(name, regime, law) for name, law in laws.items() for regime in REGIMES]
    return Table(
        caption="Batch size against number of images N: slope N + log slope ln N + intercept "
        "(eq. 25), as printed and refitted to the batch sizes that Algorithm 1 found here, with "
        "standard errors in brackets. The law asks for less than one image on the intervals of N "
        "in the column before the last.",
        label="tab:batch-law",
        head=["Law", "Regime", "Slope", "Log slope", "Intercept", "Below 1 image", "Notes"],
        rows=[_row(record) for record in records],
        texts=2,
        breaks=frozenset({len(REGIMES)}),
        records=records,
    )


def _record(name: str, regime: Regime, law: BatchLaw) -> dict[str, Any]:
    branch = law.branches.get(regime)
    record: dict[str, Any] = {"law": name, "regime": regime}
    for i, key in enumerate(COEFFICIENTS):
        record[key] = getattr(branch, key) if branch else None
        record[f"{key}_se"] = branch.errors[i] if branch and branch.errors else None
    record["below_one"] = "; ".join(
        f"{low:.1f} to {high:.1f}" if high < LARGEST else f"from {low:.1f}"
        for low, high in law.below().get(regime, [])
    )
    return record | {"notes": law.notes[regime]}


def _row(record: Mapping[str, Any]) -> list[str]:
    def coefficient(key: str) -> str:
        if record[key] is None:
            return NO_VALUE
        error = record[f"{key}_se"]
        return f"{record[key]:.4f}" + ("" if error is None else f" [{error:.4f}]")

    return [
        record["law"],
        PAPER_ROWS[record["regime"]],
        *map(coefficient, COEFFICIENTS),
        record["below_one"] or NO_VALUE,
        record["notes"],
    ]
