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
    assert "digits" not in {row[1] for row in rest}
    assert table.caption.endswith("Left out, as the paper has no numbers for them: digits.")
    not_run = [row for row in rest if row[-1] == "not run"]
    # An experiment is one row: 7 datasets in Table 6, 23 in Table 8, 6 in Table 9.
    assert len(not_run) == 7 + 23 + 6 and all(row[3] == "all" for row in not_run)
    (ece,) = (row for row in rest if row[:1] == ["10"] and row[3] == "ECE, MC")
    assert ece[4:7] == ["0.140", "0.100", "-0.040"]


def test_own_datasets_alone_leave_a_sentence_and_no_rows(tmp_path):
    paths = [put_metrics(tmp_path, name, "dual") for name in ("my_screws", "my_bottles")]
    table = comparison_table(compare(paths), confidence=0.95)
    written = write_table(tmp_path / "out" / "comparison", table)
    assert table.rows == [] and len(records(written[0])) == 2 * 10
    for path in written[1:]:
        text = path.read_text()
        assert "None of the datasets run here" in text and "not run" not in text
        assert len(text.splitlines()) < 30
    assert ": my_screws, my_bottles; Table 6 has ours" in table.caption


def test_a_table_without_any_number_has_a_head(tmp_path):
    table = comparison_table(compare([put_metrics(tmp_path, "my_screws", "pca")]), confidence=0.95)
    (csv, *_) = write_table(tmp_path / "comparison", table)
    assert csv.read_text().startswith("source,dataset,method,metric") and records(csv) == []
    assert "None of the datasets run here is one that the paper has numbers for;" in table.caption
