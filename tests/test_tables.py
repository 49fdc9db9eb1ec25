import csv
import json

import pytest

from dualad.errors import DualadError
from dualad.tables import PERFORMANCE, write_table06, write_table10

KEYS = (*PERFORMANCE, "auprc", "ece", "pixel_auroc", "aupro")


def metrics(dataset, method, *, mc=True, value=0.9, **changes):
    values = dict.fromkeys(KEYS, value) | {"pixel_auroc": None, "aupro": None}
    ci = {key: None if values[key] is None else [value - 0.1, value + 0.05] for key in KEYS}
    block = {**values, "ci": ci, "counts": {"tp": 9, "fp": 1, "tn": 8, "fn": 2}}
    sampled = {
        **block,
        "fpr": 0.05,
        "lambda": 0.5,
        "variance_normal": 1.25e-5,
        "variance_anomalous": 6e-5,
    }
    return {
        "dataset": dataset,
        "method": method,
        "family": "dual_autoencoder",
        "score": "l2",
        "protocol": "paper",
        "n_test": 20,
        **block,
        "mc": sampled if mc else None,
        "reconstruction_skill": 0.42,
        "n_parameters": 36_814_352,
        "notes": [],
        **changes,
    }


@pytest.fixture
def put(tmp_path):
    def write(content):
        path = tmp_path / content["dataset"] / content["method"] / "metrics.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
        return path

    return write


def records(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def body(path):
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_table06_in_four_formats(put, tmp_path):
    written = write_table06(tmp_path / "out" / "table06", [put(metrics("zipper", "dual"))])
    assert [path.name for path in written] == [f"table06.{e}" for e in ("csv", "md", "tex", "html")]
    (record,) = records(written[0])
    assert float(record["auroc"]) == 0.9 and float(record["auroc_ci_lo"]) == pytest.approx(0.8)
    assert record["tp"] == "9" and record["pixel_auroc"] == ""
    head, _, row = body(written[1])
    assert head[2:13] == list(PERFORMANCE.values())
    assert row[:3] == ["zipper", "dual", "90.0 [80.0, 95.0]"] and row[13] == "0.42"


def test_an_undefined_metric_is_a_dash_and_an_empty_cell(put, tmp_path):
    content = metrics("zipper", "dual", precision=None)
    content["ci"]["precision"] = None
    written = write_table06(tmp_path / "t", [put(content)])
    assert records(written[0])[0]["precision"] == ""
    assert body(written[1])[2][9] == "–"  # noqa: RUF001


def test_missing_results_leave_a_gap(put, tmp_path):
    missing = tmp_path / "rope" / "dual" / "metrics.json"
    for write in (write_table06, write_table10):
        written = write(tmp_path / write.__name__, [put(metrics(write.__name__, "dual")), missing])
        record = records(written[0])[1]
        assert record["dataset"] == "rope" and record["notes"] == "no result"
        row = body(written[1])[3]
        assert row[0] == "rope" and row[-1] == "no result" and row[2] == "–"  # noqa: RUF001


def test_table06_of_nothing_but_gaps(tmp_path):
    written = write_table06(tmp_path / "t", [tmp_path / "rope" / "dual" / "metrics.json"])
    assert len(records(written[0])) == 1


def test_pixel_columns_appear_where_a_dataset_has_masks(put, tmp_path):
    first = put(metrics("zipper", "dual"))
    second = put(metrics("brick", "dual", pixel_auroc=0.8, aupro=0.7))
    assert "AUPRO" not in body(write_table06(tmp_path / "a", [first])[1])[0]
    table = body(write_table06(tmp_path / "b", [first, second])[1])
    assert table[0][13:15] == ["Pixel AUROC", "AUPRO"]
    assert table[2][13].startswith("–") and table[3][13].startswith("80.0")  # noqa: RUF001


def test_notes_of_method_and_dataset_are_shown(put, tmp_path):
    path = put(metrics("brick", "padim", notes=["random features"]))
    (tmp_path / "brick" / "dataset.json").write_text(json.dumps({"note": "synthetic defects"}))
    for written in (write_table06(tmp_path / "a", [path]), write_table10(tmp_path / "b", [path])):
        for file in written:
            assert "synthetic defects; random features" in file.read_text()


def test_latex_and_html_are_escaped(put, tmp_path):
    path = put(metrics("metal_nut", "a_b", notes=["100% <b>&"]))
    _, markdown, latex, page = write_table06(tmp_path / "t", [path])
    assert r"metal\_nut & a\_b & 90.0 {\scriptsize [80.0, 95.0]}" in latex.read_text()
    assert r"100\% <b>\&" in latex.read_text()
    assert latex.read_text().count(r"\toprule") == 1 and r"\end{tabular}" in latex.read_text()
    assert "100% &lt;b&gt;&amp;" in page.read_text()
    assert r"metal\_nut" in markdown.read_text()


def test_table10_has_numbers_for_both_variants_and_the_mean(put, tmp_path):
    paths = [
        put(metrics("zipper", "dual", fpr=0.1)),
        put(metrics("rope", "dual", fpr=0.3)),
        put(metrics("rope", "pca", mc=False)),
    ]
    written = write_table10(tmp_path / "table10", paths)
    zipper, rope, mean = records(written[0])
    assert (zipper["fpr_deterministic"], zipper["fpr_mc"]) == ("0.1", "0.05")
    assert rope["variance_normal"] == "1.25e-05" and rope["lambda"] == "0.5"
    assert mean["dataset"] == "(mean)" and float(mean["fpr_deterministic"]) == pytest.approx(0.2)
    assert float(mean["variance_anomalous"]) == pytest.approx(6e-5)
    assert mean["notes"] == "mean over 2 datasets"
    assert r"$1.25 \times 10^{-5}$" in written[2].read_text()


def test_table10_averages_only_what_is_defined(put, tmp_path):
    content = metrics("rope", "dual")
    content["mc"]["ece"] = None
    paths = [put(content), put(metrics("zipper", "dual", value=0.4))]
    mean = records(write_table10(tmp_path / "t", paths)[0])[-1]
    assert float(mean["ece_mc"]) == pytest.approx(0.4)
    assert float(mean["ece_deterministic"]) == pytest.approx(0.65)


def test_table10_without_any_monte_carlo_has_only_a_head(put, tmp_path):
    written = write_table10(tmp_path / "t", [put(metrics("rope", "pca", mc=False))])
    assert written[0].read_text() == "" and len(body(written[1])) == 2


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "rope" / "dual" / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(DualadError, match=r"rope/dual/metrics\.json.*delete it"):
        write_table06(tmp_path / "t", [path])


def test_writing_again_gives_the_same_bytes(put, tmp_path):
    path = put(metrics("zipper", "dual"))
    first = [file.read_bytes() for file in write_table06(tmp_path / "t", [path])]
    assert [file.read_bytes() for file in write_table06(tmp_path / "t", [path])] == first
    assert not list(tmp_path.glob(".*"))
