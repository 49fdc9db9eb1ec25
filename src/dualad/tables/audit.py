"""The audit of the paper's Table 6 as a table, and the confusion matrices that fit it."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dualad.paper.audit import INPUTS, RECOMPUTED, Counts, RowAudit
from dualad.paper.numbers import paper_number
from dualad.tables.formats import Table

_COUNTS = ("tp", "fn", "tn", "fp")
_FLAGS = ("auroc_matches", "fits_table_8")


def audit_table(rows: Sequence[RowAudit]) -> Table:
    """The audit of Table 6, a row per dataset.

    Parameters
    ----------
    rows
        The audited rows, in the table's order.
    """
    return Table(
        caption=_caption(rows),
        label="tab:audit",
        head=[
            "Dataset",
            "Columns",
            "AUROC, printed",
            "(TPR + TNR) / 2",
            "Anomalous",
            "Fits",
            "Smallest",
            "Fits with Table 8",
            "Smallest of these",
            "Official test set",
            "80 % of labelled",
            "Notes",
        ],
        rows=[_cells(row) for row in rows],
        texts=2,
        records=[_record(row) for row in rows],
    )


def confusion_matrices_csv(rows: Sequence[RowAudit], *, cap: int = 1000) -> str:
    """The confusion matrices that fit Table 6, as the text of a CSV file.

    Parameters
    ----------
    rows
        The audited rows.
    cap
        At most so many matrices per dataset, the smallest ones; `audit_table` has their full
        number.

    Returns
    -------
    str
        A line per matrix: dataset, tp, fn, tn, fp, anomalous, normal, images; auroc_matches, 1
        where its balanced accuracy is the number printed as AUROC; fits_table_8, 1 where its
        classes fit Table 8, too.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["dataset", *_COUNTS, "anomalous", "normal", "images", *_FLAGS])
    for row in rows:
        matrices, sizes = row.matrices[:cap], row.sizes[:cap]
        flags = (flag[:cap].astype(int) for flag in (row.auroc_matches, row.fits_table_8))
        columns = np.column_stack([matrices, sizes, sizes.sum(1), *flags])
        writer.writerows([row.dataset, *values] for values in columns.tolist())
    return buffer.getvalue()


def _caption(rows: Sequence[RowAudit]) -> str:
    equal = sum(row.checks["auroc"].consistent for row in rows)
    mean_fpr = np.mean([row.printed["fpr"] for row in rows])
    without, sampled = (paper_number("Table 10", f"fpr_{key}") for key in ("deterministic", "mc"))
    return (
        "Audit of the paper's Table 6. Columns: whether F1, F2, FPR, G-mean, MCC and kappa follow "
        "from the printed TPR, TNR and precision, up to rounding. AUROC: the column of that name "
        f"equals the balanced accuracy of hard labels in {equal} of {len(rows)} rows. Anomalous: "
        "the share of anomalous test images that the three rates imply, in per cent. Fits: how "
        "many confusion matrices of whole numbers, up to the size of the dataset, give all printed "
        "columns but AUROC; how many of these have classes that also give both single encoders' "
        "columns in Table 8, its AUROC taken for balanced accuracy; the anomalous and normal "
        "images of the smallest; and of the fit, if any, that has the classes of the official test "
        "set, or of 80 % of all labelled images. The mean of the printed FPR is "
        f"{mean_fpr:.2f} %; Table 10 gives {without:.2f} % without and {sampled:.2f} % with Monte "
        "Carlo dropout."
    )


def _cells(row: RowAudit) -> list[str]:
    auroc = row.checks["auroc"]
    wrong = _inconsistent(row)
    return [
        row.dataset,
        f"{', '.join(wrong)} off" if wrong else "agree",
        f"{auroc.printed:.2f}",
        f"{auroc.recomputed:.3f}",
        f"{row.prevalence:.1f}",
        str(len(row.matrices)),
        _classes(_first(row.matrices)),
        str(len(row.with_table_8)),
        _classes(_first(row.with_table_8)),
        _classes(row.official),
        _classes(row.pool),
        "; ".join(_notes(row)),
    ]


def _first(matrices: Counts) -> Counts | None:
    return np.asarray(matrices[0]) if len(matrices) else None


def _classes(matrix: Counts | None) -> str:
    return "none" if matrix is None else f"{matrix[:2].sum()}, {matrix[2:].sum()}"


def _inconsistent(row: RowAudit) -> list[str]:
    return [metric for metric in RECOMPUTED if not row.checks[metric].consistent]


def _notes(row: RowAudit) -> Iterator[str]:
    if not row.checks["auroc"].consistent:
        yield f"AUROC off by {row.checks['auroc'].difference:+.3f}"
    if len(row.matrices) == 0:
        yield f"no whole numbers up to {row.labelled.n_images} images fit"
    elif len(row.with_table_8) == 0:
        yield "no fit agrees with Table 8"
    if len(row.matrices) > 1 and _all_multiples(row.matrices):
        yield "all fits are multiples of the smallest"
    test = row.labelled.test
    if test is None:
        yield f"the {row.labelled.n_test} test images are judged by their total"
    elif row.official is None and row.pool is None and len(row.matrices):
        yield f"official test set: {test[0]}, {test[1]}"


def _all_multiples(matrices: Counts) -> bool:
    factors = matrices.sum(1) // matrices[0].sum()
    return bool(np.array_equal(factors[:, None] * matrices[0], matrices))


def _record(row: RowAudit) -> dict[str, Any]:
    record: dict[str, Any] = {"dataset": row.dataset}
    record |= {key: row.printed[key] for key in INPUTS}
    for metric, check in row.checks.items():
        name = "balanced_accuracy" if metric == "auroc" else metric
        record |= {
            f"{metric}_printed": check.printed,
            f"{name}_recomputed": round(check.recomputed, 6),
            f"{name}_low": round(check.low, 6),
            f"{name}_high": round(check.high, 6),
            f"{metric}_difference": round(check.difference, 6),
            f"{metric}_consistent": int(check.consistent),
        }
    record |= {"prevalence": round(row.prevalence, 6), "searched_up_to": row.labelled.n_images}
    record |= {"n_fits": len(row.matrices), "n_fits_with_table_8": len(row.with_table_8)}
    for name, matrix in (
        ("smallest", _first(row.matrices)),
        ("smallest_with_table_8", _first(row.with_table_8)),
        ("closest_official", row.closest_to_official),
        ("pool", row.pool),
    ):
        values = [None] * 4 if matrix is None else matrix.tolist()
        record |= {f"{name}_{key}": value for key, value in zip(_COUNTS, values, strict=True)}
    anomalous, normal = row.labelled.test or (None, None)
    return record | {
        "official_anomalous": anomalous,
        "official_normal": normal,
        "fits_official": int(row.official is not None),
        "fits_80_percent": int(row.pool is not None),
        "notes": "; ".join(_notes(row)),
    }
