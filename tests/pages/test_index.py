"""The page of all results."""

import json
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest
from page_content import Structure

from dualad.design.products import table_targets
from dualad.design.schema import complete_config
from dualad.design.targets import Design
from dualad.pages.index import write_index
from dualad.paper.comparison import compare
from dualad.results.recommendation import write_recommendation
from dualad.tables.comparison import comparison_table
from dualad.tables.formats import write_table
from dualad.tables.named import write_named_table

CONFIG = {
    "datasets": {
        "brick": {"reader": "digits", "normal": [1]},
        "faces": {"reader": "digits", "normal": [2], "paper_name": "zipper"},
    },
    "methods": {
        "dual": {"family": "dual_autoencoder"},
        "pca": {"family": "pca"},
        "pixel_std": {"family": "pixel_std"},
    },
}


@pytest.fixture(scope="module")
def design() -> Design:
    return Design.from_config(complete_config(CONFIG))


@pytest.fixture(scope="module")
def finished(tree: Path, tmp_path_factory: pytest.TempPathFactory, design: Design) -> Path:
    """The tree with what the page is made from beside the methods' files."""
    root = tmp_path_factory.mktemp("index")
    shutil.copytree(tree, root / "results")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(root)
        for dataset in design.datasets:
            folder = Path("results") / dataset
            (folder / "plan.json").write_text(json.dumps({"clamped": False}))
            write_recommendation(folder, design.candidates(dataset))
        target = table_targets(design)["differences"]
        write_named_table(
            "differences", Path("results/tables/differences"), target.results, {}, 16, resamples=20
        )
        compared = compare(design.metrics_files(), design.paper_names)
        write_table(Path("results/paper/comparison"), comparison_table(compared, 0.95))
    return root


def page_of(root: Path, design: Design, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(root)
    write_index(Path("results/index.html"), design)
    return Path("results/index.html").read_text(encoding="utf-8")


def test_every_dataset_has_a_verdict_pictures_and_its_methods(
    finished: Path, design: Design, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_of(finished, design, monkeypatch)
    # Snakemake's report cuts these out.
    verdicts = page.split("<!-- verdict -->")[1::2]
    assert [verdict.split("<h2>")[1].split("</h2>")[0] for verdict in verdicts] == [
        "brick",
        "faces",
    ]
    for dataset, verdict in zip(design.datasets, verdicts, strict=True):
        folder = finished / "results" / dataset
        method = json.loads((folder / "recommended.json").read_text())["method"]
        counts = json.loads((folder / method / "metrics.json").read_text())["counts"]
        assert f"<strong>{method}</strong> finds {counts['tp']} of 16 anomalous" in verdict
    assert "synthetic &lt;defects&gt;" in page and "A hit" in page
    assert len(page) < 5_000_000


def test_links_lead_to_what_a_run_makes(
    finished: Path, design: Design, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_of(finished, design, monkeypatch)
    made = {*(path for name in design.datasets for path in design.galleries(name).values())}
    links = {
        f"results/{unquote(link).partition('#')[0]}"
        for tag, attributes in Structure(page).tags
        if tag == "a" and (link := attributes["href"] or "") and not link.startswith("#")
    }
    assert {link for link in links if link.endswith("gallery.html")} == made
    anchors = {attributes.get("id") for _, attributes in Structure(page).tags}
    inside = {
        link[1:]
        for tag, attributes in Structure(page).tags
        if tag == "a" and (link := attributes["href"] or "").startswith("#")
    }
    assert inside <= anchors


def test_the_paper_stands_beside_datasets_that_it_has(
    finished: Path, design: Design, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_of(finished, design, monkeypatch)
    ours = json.loads((finished / "results/faces/dual/metrics.json").read_text())
    row = page.split('id="paper"')[1].split("<tbody>")[1].split("</tr>")[0]
    assert "faces" in row and f"{100 * ours['balanced_accuracy']:.1f} %" in row


def test_tables_of_what_was_not_asked_for_are_not_listed(
    finished: Path, design: Design, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = page_of(finished, design, monkeypatch).split('id="more"')[1]
    assert "Algorithm 1" not in listed
    assert "Table 7: methods" in listed and "Table 6: performance" in listed


def test_what_has_no_result_is_said(
    finished: Path, design: Design, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    (tmp_path / "copy/results/brick/pixel_std/metrics.json").unlink()
    (tmp_path / "copy/results/faces/recommended.json").unlink()
    page = page_of(tmp_path / "copy", design, monkeypatch)
    assert "no result" in page.split('id="faces"')[0]
    assert "No method has a result." in page.split('id="faces"')[1]


def test_the_page_opens_without_complaint(
    browser, finished: Path, design: Design, monkeypatch: pytest.MonkeyPatch
) -> None:
    page_of(finished, design, monkeypatch)
    browser.get((finished / "results/index.html").as_uri())
    assert browser.title == "Results" and browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 1280
