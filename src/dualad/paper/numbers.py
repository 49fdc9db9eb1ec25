"""The paper's printed numbers: Tables 4, 5, 6, 8, 9, 10, eq. 25, its two examples, section 4.1.

They live in `numbers.csv` beside this module, in the paper's order and as printed, under the
names that the project's configuration gives to datasets and methods, and nowhere else.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

from dualad.errors import DualadError

MEAN_OVER_DATASETS = "(mean)"
"""Stands for the dataset in Table 10, which averages over all of them."""

_FILE = "numbers.csv"
_NOT_GIVEN = "\N{EN DASH}"


@dataclass(frozen=True)
class PaperNumber:
    """One printed cell."""

    source: str
    """Where it is printed: `Table 6`, `Eq. 25`, `Example 1`, `Section 4.1`."""
    row: str
    """Label of its row, as printed; Table 8's includes the block's."""
    column: str
    """Label of its column, as printed."""
    dataset: str
    """Name of the dataset as in `config/paper.yaml`, or `MEAN_OVER_DATASETS`."""
    method: str
    """Name of the method as in `config/paper.yaml`; empty where none is meant."""
    metric: str
    """Name of the quantity as in `metrics.json`. What the paper calls AUROC is `auroc` here."""
    text: str
    """The cell as printed, without a per cent sign."""
    unit: str
    """`%`, `1`, `images`, or `text` for what is no number."""

    @property
    def value(self) -> float | None:
        """The number in its unit; None for words and for what the paper leaves out."""
        if self.unit == "text" or self.text == _NOT_GIVEN:
            return None
        return float(self.text.replace(",", ""))

    @property
    def fraction(self) -> float | None:
        """The number with per cent turned into a fraction."""
        if self.value is None or self.unit != "%":
            return self.value
        # Dividing the digits, not the binary number: 97.62 % is exactly the literal 0.9762.
        return float(f"{self.text}e-2")


@cache
def paper_numbers(source: str | None = None) -> tuple[PaperNumber, ...]:
    """Everything that the paper prints, or what one of its tables does.

    Parameters
    ----------
    source
        `Table 4`, `Table 5`, `Table 6`, `Table 8`, `Table 9`, `Table 10`, `Eq. 25`, `Example 1`,
        `Example 2` or `Section 4.1`; everything without one.

    Raises
    ------
    DualadError
        If the package's data file is missing or holds nothing under that name.
    """
    try:
        text = resources.files("dualad.paper").joinpath(_FILE).read_text(encoding="utf-8")
    except OSError as error:
        raise DualadError(
            f"{_FILE}: the package's table of the paper's numbers is missing; install dualad again"
        ) from error
    found = tuple(
        PaperNumber(text=row.pop("value"), **row)
        for row in csv.DictReader(text.splitlines())
        if source in (None, row["source"])
    )
    if not found:
        raise DualadError(f"{_FILE}: nothing under {source!r}; name a table as `Table 6`")
    return found


def paper_number(
    source: str, metric: str, *, row: str | None = None, dataset: str | None = None
) -> float:
    """One number in its unit.

    Parameters
    ----------
    source, metric, row, dataset
        As in `PaperNumber`; `row` and `dataset` only where they are needed to tell numbers apart.

    Raises
    ------
    DualadError
        If not exactly one number answers to that.
    """
    values = [
        number.value
        for number in paper_numbers(source)
        if number.metric == metric
        and row in (None, number.row)
        and dataset in (None, number.dataset)
        and number.value is not None
    ]
    if len(values) != 1:
        raise DualadError(
            f"{_FILE}: {len(values)} numbers of {source} answer to metric {metric!r}, row {row!r}, "
            f"dataset {dataset!r}; name row and dataset as in the file"
        )
    return values[0]
