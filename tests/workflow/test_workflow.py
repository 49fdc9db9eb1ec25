"""The whole workflow on a tiny configuration: what it leaves, what it reruns, what it survives."""

import csv
import html
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from workspace import GAPS, ROOT, TINY, Workspace

from dualad.design.families import FAMILIES

METHODS = {
    "dual": "dual_autoencoder",
    "other_threshold": "dual_autoencoder",
    "mean_image": "mean_image",
    "pca": "pca",
    "pca@1": "pca",
    "pixel_std": "pixel_std",
    "padim": "padim",
}

TABLES = [
    "table04_05_batch_search",
    "table06_performance",
    "differences",
    "table07_methods",
    "table08_encoders",
    "table09_ablation",
    "table10_calibration",
    "reproducibility",
    "recommended",
    "ranks",
    "costs",
    "batch_law",
]
FIGURES = [
    "fig02_batch_law",
    "fig04_performance__dual",
    "fig11_localisation__dual",
    "fig12_false_positives__dual",
    "fig13_false_negatives__dual",
    "repeats",
    "fig05_heatmaps",
    "fig06_bubbles",
    "fig10_dropout",
    "auroc_overview",
    "critical_difference",
    "costs",
]


def test_every_method_leaves_the_same_files(finished: Workspace) -> None:
    digits = finished.results / "digits"
    for name, family in METHODS.items():
        files = ["predictions.h5", "scores.csv", "threshold.json", "metrics.json", "fit.json"]
        files += ["scoring.json", *FAMILIES[family].model_files]
        if family == "dual_autoencoder":
            files += ["attempts.csv", "epochs.csv", "search/trials.csv", "search/best.json"]
        for file in files:
            assert (digits / name / file).stat().st_size > 0, f"{name}/{file}"
    for file in (
        *("dataset.h5", "dataset.json", "plan.json", "split.json", "shift.json"),
        "recommended.json",
    ):
        assert (digits / file).stat().st_size > 0
    assert list((digits / "figures").glob("*.png")) and list((digits / "figures").glob("*.pdf"))
    for table in TABLES:
        for suffix in (".csv", ".md", ".tex", ".html"):
            assert (finished.results / f"tables/{table}{suffix}").stat().st_size > 0, table
    for figure in FIGURES:
        for suffix in (".png", ".pdf"):
            assert (finished.results / f"figures/{figure}{suffix}").stat().st_size > 0, figure
    for file in ("audit.csv", "comparison.csv", "paper_comparison.png", "confusion_matrices.csv"):
        assert (finished.results / "paper" / file).stat().st_size > 0
    assert "</html>" in (finished.results / "report.html").read_text()[-200:]


def test_shared_stages_are_copies(finished: Workspace) -> None:
    digits = finished.results / "digits"
    for file in ("model.keras", "predictions.h5", "search/best.json"):
        owned, shared = digits / "dual" / file, digits / "other_threshold" / file
        assert owned.read_bytes() == shared.read_bytes() and not owned.samefile(shared)
    assert json.loads((digits / "other_threshold/threshold.json").read_text())["rule"] == "quantile"


def test_a_late_copy_leaves_its_owner_up_to_date(finished: Workspace) -> None:
    target = "results/digits/other_threshold/predictions.h5"
    shared = finished.folder / target
    times = shared.stat()
    run = finished.run("--force", "--", target)
    assert run.returncode == 0 and run.jobs == {"share_score": 1}, run.text
    # By time alone: Snakemake compares the content of small files, and real ones are not small.
    after = finished.run("-n", "--max-checksum-file-size", "0")
    os.utime(shared, ns=(times.st_atime_ns, times.st_mtime_ns))
    # That of `other_threshold` itself.
    assert after.jobs["evaluate"] == 1, after.text


def test_studies_leave_what_they_found(finished: Workspace) -> None:
    digits = finished.results / "digits"
    for value in ("0.0", "0.5"):
        metrics = json.loads((digits / f"sweeps/dropout/{value}/metrics.json").read_text())
        assert metrics["dataset"] == "digits" and 0 <= metrics["auroc"] <= 1
        assert (digits / f"sweeps/dropout/{value}/scores.csv").stat().st_size > 0
    result = json.loads((digits / "batch_search/result.json").read_text())
    evaluations = (digits / "batch_search/evaluations.csv").read_text().splitlines()
    assert len(evaluations) > 3 and result


def test_a_method_is_recommended_among_the_full_ones(finished: Workspace) -> None:
    recommended = json.loads((finished.results / "digits/recommended.json").read_text())
    candidates = {entry["method"]: entry for entry in recommended["candidates"]}
    # Neither the ablation nor the repeat.
    assert set(candidates) == {"dual", "mean_image", "pca", "pixel_std", "padim"}
    assert all(0 <= entry["synthetic_auroc"] <= 1 for entry in candidates.values())
    chosen = candidates[recommended["method"]]
    assert chosen["contender"] and recommended["method"] in recommended["reason"]
    with (finished.results / "tables/recommended.csv").open() as file:
        first, *others = csv.DictReader(file)
    assert first["method"] == recommended["method"]
    metrics = finished.results / "digits" / first["method"] / "metrics.json"
    assert float(first["test_auroc"]) == json.loads(metrics.read_text())["auroc"]
    assert {row["choice"] for row in others} == {
        "recommended",
        *(f"always {c}" for c in candidates),
    }


def test_a_page_leads_to_a_gallery_of_every_method(finished: Workspace) -> None:
    page = (finished.results / "index.html").read_text()
    for name in METHODS:
        gallery = finished.results / "digits" / name / "gallery.html"
        # A repeat has none.
        assert gallery.exists() == (name in page) == ("@" not in name)
    assert " anomalous test images" in (finished.results / "report.html").read_text()


def test_a_threshold_from_a_gallery_trains_nothing(finished: Workspace) -> None:
    gallery = (finished.results / "digits/dual/gallery.html").read_text()
    lines = html.unescape(gallery.split('data-template="')[1].split('"')[0])
    (finished.folder / "change.yaml").write_text(lines.replace("VALUE", "0.25"))
    run = finished.run("-n", configfiles=["tiny.yaml", "change.yaml"])
    assert run.returncode == 0, run.text
    assert run.jobs["evaluate"] == 1, run.jobs
    assert not {"dataset", "plan", "search", "train", "fit", "score"} & set(run.jobs), run.jobs


def test_repeats_are_summed_up(finished: Workspace) -> None:
    table = (finished.results / "tables/reproducibility.csv").read_text().splitlines()
    assert len(table) == 2 and table[1].startswith("digits,pca,dynamic,2,")


def test_work_in_progress_is_gone(finished: Workspace) -> None:
    files = [path for path in finished.results.glob(".work/**/*") if path.is_file()]
    # Compiled programs are kept for the next run.
    assert not [path for path in files if ".programs" not in path.parts]
    assert files


def test_logs_name_the_device_and_the_epochs(finished: Workspace) -> None:
    log = (finished.results / "logs/digits/dual/train.log").read_text()
    assert "device: CPU, 2 threads" in log
    assert "attempt 2 of 2" in log


def test_a_second_run_does_nothing(finished: Workspace) -> None:
    report = finished.results / "report.html"
    before = report.stat().st_mtime_ns
    started = time.perf_counter()
    run = finished.run()
    assert run.returncode == 0
    assert "Nothing to be done" in run.text, run.text
    assert report.stat().st_mtime_ns == before
    # About 3 s when nothing else keeps the machine busy.
    assert time.perf_counter() - started < 30


@pytest.mark.parametrize(
    ("change", "rerun", "untouched"),
    [
        (
            "datasets: {digits: {protocol: pooled}}",
            {"plan", "shift", "search", "train", "score", "evaluate", "figures", "report"},
            {"dataset"},
        ),
        (
            "methods: {dual: {threshold: {rule: youden}}}",
            {"evaluate", "recommend", "figures", "galleries_digits", "index", "report"},
            {"dataset", "plan", "shift", "search", "train", "fit", "score"},
        ),
        (
            "reference: pca",
            {"table_differences", "index", "report"},
            {"search", "train", "fit", "score", "evaluate", "galleries_digits"},
        ),
        (
            "methods: {dual: {threshold: {rule: conformal, alpha: 0.2}}}",
            {"evaluate", "recommend", "figures", "table_table06_performance", "report"},
            {"dataset", "plan", "search", "train", "fit", "score"},
        ),
        (
            "defaults: {dual_autoencoder: {epochs: 101}}",
            {"train", "score", "evaluate"},
            {"dataset", "plan", "search", "fit"},
        ),
        (
            "methods: {pca: {components: 9}}",
            {
                "fit",
                "score_controls",
                "evaluate",
                "figures",
                "table_table07_methods",
                "paper",
                "report",
            },
            {"dataset", "plan", "search", "train", "fit_padim", "table_table09_ablation"},
        ),
        ("compute: {threads: 1}", {"search", "train", "score"}, {"dataset", "plan", "fit"}),
        ("compute: {tf32: true}", {"search", "train", "score"}, {"dataset", "plan", "fit"}),
        (
            "compute: {gpu: 0, gpu_memory_mb: 4000}",
            {"report"},
            {"search", "train", "score", "evaluate", "galleries_digits", "index"},
        ),
    ],
)
def test_a_change_reruns_what_it_affects(
    finished: Workspace, change: str, rerun: set[str], untouched: set[str]
) -> None:
    (finished.folder / "change.yaml").write_text(change)
    run = finished.run("-n", configfiles=["tiny.yaml", "change.yaml"])
    assert run.returncode == 0, run.text
    assert rerun <= set(run.jobs) and not untouched & set(run.jobs), run.jobs


def test_a_reason_is_short_and_names_the_method_that_changed(finished: Workspace) -> None:
    (finished.folder / "change.yaml").write_text("methods: {pca: {components: 9}}")
    run = finished.run("-n", configfiles=["tiny.yaml", "change.yaml"])
    reasons = re.findall(r"reason: .*(Params have changed.*)", run.text)
    assert reasons and max(map(len, reasons)) < 500, reasons
    assert all(re.search(r"\b(pca(@1)?|configuration):", reason) for reason in reasons)
    # Only the method, its repeat, the table of the methods, and the report.
    assert run.jobs["fit"] == 2 and len(reasons) < 15


def test_another_configuration_leaves_unchanged_methods_alone(finished: Workspace) -> None:
    smaller = re.sub(r"\n  (pixel_std|padim):.*", "", TINY)
    (finished.folder / "smaller.yaml").write_text(smaller)
    run = finished.run("-n", configfiles=["smaller.yaml"])
    assert run.returncode == 0, run.text
    assert {"recommend", "table_table06_performance", "paper", "report"} <= set(run.jobs)
    assert not {"dataset", "search", "train", "fit", "score", "evaluate"} & set(run.jobs)


def test_what_the_next_configuration_replaces_is_said_once(tmp_path: Path) -> None:
    controls = GAPS.replace("broken: {family: external, module: broken.py, class_name: Broken}", "")
    workspace = Workspace(tmp_path, controls)
    said = "holds the report, tables and figures of another configuration"
    first = workspace.run()
    assert first.returncode == 0 and said not in first.text, first.text
    (tmp_path / "other.yaml").write_text(controls.replace("pixel_std: ", "deviation: "))
    for arguments in (["-n"], []):
        other = workspace.run(*arguments, configfiles=["other.yaml"])
        assert other.returncode == 0, other.text
        # Not in the jobs again, and not in the report's own invocation.
        assert other.text.count(said) == 1 and "otherwise: methods.pixel_std." in other.text
    assert said not in (workspace.results / "logs/report.log").read_text()
    # What only the first one has is still there.
    assert (workspace.results / "digits/pixel_std/metrics.json").exists()
    # The record is a configuration file, for which nothing is left to do but a report of that name.
    again = workspace.run("-n", configfiles=["results/configuration.json"])
    assert said not in again.text and set(again.jobs) <= {"report", "all"}, again.text


def test_without_a_gpu_in_the_configuration_no_job_asks_for_one(finished: Workspace) -> None:
    (finished.folder / "change.yaml").write_text("compute: {gpu: 0}")
    run = finished.run("-n", "--forceall", configfiles=["tiny.yaml", "change.yaml"])
    assert run.returncode == 0, run.text
    assert set(re.findall(r"\bgpu=(\d)", run.text)) == {"0"}


def test_a_killed_run_goes_on_to_the_same_result(finished: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "killed")
    shutil.copytree(finished.folder, workspace.folder, dirs_exist_ok=True)
    method = workspace.results / "digits/dual"
    for file in ("model.keras", "attempts.csv", "epochs.csv", "predictions.h5", "metrics.json"):
        (method / file).unlink()
    (method / "scores.csv").unlink()
    targets = ["results/digits/dual/metrics.json"]

    process = workspace.start("--", *targets)
    work = workspace.results / ".work/digits/dual/train/unfinished"
    journal = work / "journal.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        # Every epoch adds a line.
        if journal.exists() and journal.read_text().count("\n") > 20:
            break
        time.sleep(0.01)
    # Each job is in Snakemake's process group.
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (method / "model.keras").exists()

    assert workspace.run("--unlock").returncode == 0
    # On fewer cores than the uninterrupted run had, which must not matter either.
    run = workspace.run("--cores", "1", "--rerun-incomplete", "--", *targets)
    assert run.returncode == 0, run.text
    for file in ("scores.csv", "metrics.json"):
        expected = (finished.results / "digits/dual" / file).read_bytes()
        assert (method / file).read_bytes() == expected, file


def test_a_failed_method_costs_no_other_its_results(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, GAPS)
    (tmp_path / "broken.py").write_text(
        "class Broken:\n    def __init__(self, params):\n        1 / 0\n"
    )
    targets = ["results/tables/table06_performance.csv", "results/figures/fig05_heatmaps.png"]
    failed = workspace.run("--keep-going", "--", *targets)
    assert failed.returncode != 0 and "allow_gaps" in failed.text
    assert not (tmp_path / targets[0]).exists()
    drawn = workspace.run("--config", "allow_gaps=True", "--", *targets)
    assert drawn.returncode == 0, drawn.text
    assert set(drawn.jobs) == {"table_table06_performance", "draw_fig05_heatmaps"}
    rows = {row["method"]: row for row in csv.DictReader((tmp_path / targets[0]).open())}
    assert rows["broken"]["auroc"] == "" and "no result" in rows["broken"]["notes"]
    assert float(rows["pixel_std"]["auroc"]) > 0
    whole = workspace.run("--config", "allow_gaps=True", "--", "results/report.html")
    assert whole.returncode == 0, whole.text
    assert workspace.run("--dry-run", "--", targets[0]).jobs["fit_external"] == 1


def test_a_hybrid_needs_the_network_of_its_method_and_no_scores_of_it(tmp_path: Path) -> None:
    hybrid = """methods:
  hybrid: {family: dual_hybrid, network: dual}
  pixels: {family: pixels_supervised}
"""
    workspace = Workspace(tmp_path, TINY.replace("methods:\n", hybrid))
    targets = [f"results/digits/{name}/metrics.json" for name in ("hybrid", "pixels")]
    run = workspace.run("-n", "--", *targets)
    assert run.returncode == 0, run.text
    shared = dict.fromkeys(("dataset", "plan", "search", "train"), 1)
    assert run.jobs == {
        **shared,
        "fit_dual_hybrid": 1,
        "fit_pixels_supervised": 1,
        "evaluate": 2,
    }
    assert re.search(r"rule fit_pixels_supervised:.*?gpu=0", run.text, re.S)


def test_a_figures_target_is_that_of_one_dataset(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, TINY.replace("methods:", "  faces: {reader: faces}\nmethods:"))
    run = workspace.run("-n", "--", "results/faces/figures")
    assert run.jobs["dataset"] == run.jobs["figures"] == 1
    assert not {"table_table06_performance", "paper", "report"} & set(run.jobs)
    assert "results/digits" not in run.text


def test_the_papers_configuration(tmp_path: Path) -> None:
    run = Workspace(tmp_path).run("-n", configfiles=[str(ROOT / "config/paper.yaml")])
    assert run.returncode == 0, run.text
    # The default configuration's datasets are not mixed in.
    assert "digits" not in run.text
    n_datasets = 8
    expected = {
        "download": 5,
        "dataset": n_datasets,
        "colour_images": 3 * n_datasets,  # 64, 128 and 224 pixels
        # On one dataset only, two ablations have a search of their own, and four a network.
        "search": 5 * n_datasets + 2,
        "train": 4 * n_datasets + 4 + 3 * 5,
        "train_features": n_datasets,
        "score": 5 * n_datasets + 4 + 3 * 5,
        "score_controls": 5 * n_datasets,
        "fit": 5 * n_datasets,
        "fit_padim": n_datasets,
        "fit_dual_hybrid": n_datasets,
        "fit_pixels_supervised": n_datasets,
        "evaluate": (5 + 2 + 5 + 11) * n_datasets + 5 + 3 * 5,
        "figures": n_datasets,
        "shift": n_datasets,
        "sweep_seed": 2,
        "batch_search": n_datasets,
        "galleries_zipper": 1,
        "index": 1,
        "report": 1,
    }
    assert {rule: run.jobs[rule] for rule in expected} == expected


def test_without_a_configuration_the_default_is_read(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    run = workspace.run("-n", configfiles=["config/config.yaml"])
    (tmp_path / "nothing.yaml").write_text("image_size: 32\n")
    assert workspace.run("-n", configfiles=["nothing.yaml"]).jobs == run.jobs
    assert run.jobs["dataset"] == 4


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("image_size: big", "image_size: 'big' does not fit; expected side"),
        ("metods: {}", "metods: unknown key; did you mean methods?"),
        ("defaults: {pca: {components: 0}}", "defaults.pca.components: 0 does not fit"),
    ],
)
def test_a_wrong_configuration_ends_with_one_message(
    tmp_path: Path, wrong: str, expected: str
) -> None:
    config = "datasets: {d: {reader: digits}}\nmethods: {p: {family: pca}}\n"
    run = Workspace(tmp_path, config + wrong).run("-n")
    assert run.returncode != 0
    assert run.text.count(expected) == 1, run.text
    assert "Traceback" not in run.text and len(run.text.splitlines()) < 12
    assert not (tmp_path / "results").exists()


def test_absent_data_end_with_one_message(tmp_path: Path) -> None:
    config = "datasets: {d: {reader: folder, path: nowhere}}\nmethods: {p: {family: pca}}\n"
    run = Workspace(tmp_path, config).run("--", "results/d/plan.json")
    assert run.returncode != 0
    assert "nowhere" in run.text and "Traceback" not in run.text
