import csv
import io

import pytest

from dualad.paper.audit import LABELLED, audit_table_6
from dualad.tables.audit import audit_table, confusion_matrices_csv
from dualad.tables.formats import write_table


@pytest.fixture(scope="module")
def audit():
    return audit_table_6()


def test_the_table_has_a_row_per_dataset(audit, tmp_path):
    written = write_table(tmp_path / "audit", audit_table(audit))
    with written[0].open() as file:
        rows = {row["dataset"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(LABELLED)
    zipper = rows["zipper"]
    assert [zipper[f"smallest_{key}"] for key in ("tp", "fn", "tn", "fp")] == ["94", "2", "22", "3"]
    assert (zipper["fits_official"], zipper["fits_80_percent"]) == ("0", "1")
    assert zipper["f1_consistent"] == "1" and zipper["n_fits"] == "3"
    assert rows["oct2017"]["auroc_consistent"] == "0"
    assert rows["oct2017"]["smallest_with_table_8_tp"] == ""
    text = written[1].read_text()
    assert "in 7 of 8 rows" in text and "AUROC off by +0.145" in text
    assert "The mean of the printed FPR is 6.16 %" in text


def test_matrices_are_listed_up_to_a_cap(audit):
    rows = list(csv.DictReader(io.StringIO(confusion_matrices_csv(audit, cap=50))))
    per_dataset = {name: [r for r in rows if r["dataset"] == name] for name in LABELLED}
    assert {name: len(found) for name, found in per_dataset.items()} == {
        "brats2021": 50,
        "oct2017": 50,
        "pneumoniamnist": 50,
        "ucsd_ped1": 16,
        "zipper": 3,
        "hazelnut": 5,
        "metal_nut": 3,
        "rope": 4,
    }
    assert {r["auroc_matches"] for r in per_dataset["oct2017"]} == {"0"}
    assert {r["auroc_matches"] for r in per_dataset["rope"]} == {"1"}
    first = per_dataset["metal_nut"][0]
    assert (first["anomalous"], first["normal"], first["images"]) == ("75", "17", "92")
