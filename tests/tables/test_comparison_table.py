import pytest
from paper_results import put_metrics
from written_tables import body, records

from dualad.paper.comparison import compare
from dualad.tables.comparison import comparison_table
from dualad.tables.formats import write_table


def test_tables_for_machines_and_people(tmp_path):
    paths = [
        put_metrics(tmp_path, "zipper", "dual", notes=["a note"]),
        put_metrics(tmp_path, "zipper", "dual@1", balanced_accuracy=0.8),
        put_metrics(tmp_path, "digits", "dual"),
    ]
    table = comparison_table(compare(paths), confidence=0.9)
    assert "with 90 % intervals" in table.caption
    written = write_table(tmp_path / "out" / "comparison", table)
    assert [p.suffix for p in written] == [".csv", ".md", ".tex", ".html"]
    rows = records(written[0])
    assert len(rows) == 174 + 10
    assert (rows[0]["source"], rows[0]["our_metric"]) == ("Table 6", "balanced_accuracy")
    assert (rows[0]["paper"], rows[0]["ours"], rows[0]["our_auroc"]) == ("0.9296", "0.9", "0.97")
    assert (rows[0]["paper_in_interval"], rows[0]["runs"]) == ("1", "2")
    assert float(rows[0]["runs_mean"]) == pytest.approx(0.85)
    head, _, first, second, *rest = body(written[1])
    assert head[4:9] == ["Paper", "Ours", "Difference", "Paper's in our interval", "Our AUROC"]
    assert first == [
        "6",
        "zipper",
        "dual",
        "AUROC (balanced accuracy)",
        "92.96",
        "90.00 [85.00, 94.00]",
        "-2.96",
        "yes",
        "97.00 [92.00, 101.00]",
        "2 runs: mean 85.00, standard deviation 7.07; a note",
    ]
    assert second[3] == "F1" and second[7] == "no" and second[8] == "–"  # noqa: RUF001
    assert next(row for row in rest if row[1] == "digits")[-1] == "not in the paper"
    not_run = [row for row in rest if row[-1] == "not run"]
    # An experiment is one row: 7 datasets in Table 6, 23 in Table 8, 6 in Table 9.
    assert len(not_run) == 7 + 23 + 6 and all(row[3] == "all" for row in not_run)
    (ece,) = (row for row in rest if row[:1] == ["10"] and row[3] == "ECE, MC")
    assert ece[4:7] == ["0.140", "0.100", "-0.040"]
