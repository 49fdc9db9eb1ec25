"""The design of a configuration: its experiments, their files, tables and figures."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dualad.design import reruns
from dualad.design.products import (
    FIGURES,
    SWEEP_FIGURE,
    TABLES,
    figure_labels,
    figure_targets,
    table_targets,
)
from dualad.design.schema import complete_config
from dualad.design.targets import Design
from dualad.errors import DualadError

ROOT = Path(__file__).resolve().parents[2]
DUAL = "dual_autoencoder"


def design(**changes: Any) -> Design:
    """The design of a small configuration, some sections replaced."""
    config = {
        "datasets": {"a": {"reader": "digits", "protocol": "pooled"}, "b": {"reader": "faces"}},
        "methods": {
            "dual": {"family": DUAL, "table": "ablation"},
            "youden": {"family": DUAL, "threshold": {"rule": "youden"}, "table": "ablation"},
            "short": {"family": DUAL, "epochs": 3, "datasets": ["a"]},
            "pca": {"family": "pca", "repeats": 2, "datasets": ["a"]},
            "padim": {"family": "padim", "input_size": 64},
        },
        "sweeps": {"seed": {"method": "dual", "factor": "seed", "values": [0, 1]}},
        **changes,
    }
    return Design.from_config(complete_config(config))


def configured(file: str) -> Design:
    """The design of a configuration in `config/`."""
    config = yaml.safe_load((ROOT / "config" / file).read_text())
    return Design.from_config(complete_config(config))


def test_an_experiment_is_a_dataset_and_a_method_that_runs_on_it() -> None:
    assert design().experiments == [
        *(("a", name) for name in ("dual", "youden", "short", "pca", "pca@1", "padim")),
        *(("b", name) for name in ("dual", "youden", "padim")),
    ]
    assert design().repeated == ["pca", "pca@1"]


def test_a_stage_that_methods_have_in_common_has_one_owner() -> None:
    made = design()
    assert made.owners("search", ["dual"]) == ["dual"]
    assert made.owners("train", ["dual"]) == ["dual", "short"]
    assert made.sharers("train") == ["youden"]
    assert made.owner("youden", "score") == "dual"
    assert made.owners("train", ["control"]) == ["pca", "pca@1"]
    assert made.shared_files("search") == ["search/best.json", "search/trials.csv"]


def test_every_method_sees_its_own_images() -> None:
    assert design().images_file("a", "dual") == "results/a/dataset.h5"
    assert design().images_file("a", "padim") == "results/a/colour64.h5"


def test_a_search_is_read_where_rates_are_tuned() -> None:
    made = design()
    assert made.search_result("a", "dual") == "results/a/dual/search/best.json"
    assert made.search_result("a", "pca") == []
    assert made.study_search(made.sweeps["seed"]) == "results/{dataset}/dual/search/best.json"


def test_a_network_of_another_method_is_an_input_of_those_that_use_it_only() -> None:
    methods = {
        "dual_plus": {"family": DUAL},
        "hybrid": {"family": "dual_hybrid"},
        "pixels": {"family": "pixels_supervised"},
    }
    made = design(methods=methods, sweeps={})
    assert made.network_files("a", "hybrid") == [
        f"results/a/dual_plus/{file}" for file in ("model.keras", "residuals.npz", "fit.json")
    ]
    assert made.network_files("a", "pixels") == []
    assert made.fitted_at_once == ["dual_hybrid", "pixels_supervised"]
    left = ["model.keras", "residuals.npz", "regression.npz"]
    assert made.files_at_once("dual_hybrid") == [
        *(*left, "fit.json", "predictions.h5", "scoring.json")
    ]
    with pytest.raises(DualadError, match=r"methods\.hybrid: .*add `pixels_supervised"):
        design(methods={name: methods[name] for name in ("dual_plus", "hybrid")}, sweeps={})


def test_keys_of_the_split_leave_the_images_alone() -> None:
    made = design()
    assert made.image_keys("a") == {"reader": "digits"}
    assert made.split_keys("a") == {"protocol": "pooled"}


def test_the_plan_knows_the_rules_that_need_anomalous_validation_images() -> None:
    assert design().threshold_rules("a") == ["closest_to_corner", "youden"]
    assert design(allow_gaps=True).threshold_rules("a") == []
    for rule in ("quantile", "conformal"):
        only = {"pca": {"family": "pca", "threshold": {"rule": rule}}}
        assert design(methods=only, sweeps={}).threshold_rules("a") == []


def test_the_plan_knows_how_many_validation_normals_conformal_thresholds_need() -> None:
    assert design().validation_normals_needed("a") == 0
    thresholds = {
        "five": {"rule": "conformal"},
        "two": {"rule": "conformal", "alpha": 0.02},
        "other": {"rule": "youden", "alpha": 0.001},
    }
    methods = {name: {"family": "pca", "threshold": t} for name, t in thresholds.items()}
    methods["two"]["datasets"] = ["b"]
    made = design(methods=methods, sweeps={})
    assert made.validation_normals_needed("a") == 19
    assert made.validation_normals_needed("b") == 49
    gaps = design(methods=methods, sweeps={}, allow_gaps=True)
    assert gaps.validation_normals_needed("b") == 0


def test_an_archive_is_fetched_for_the_datasets_that_name_it() -> None:
    entry = {"reader": "mvtec", "category": "zipper", "download": "mvtec_ad"}
    made = design(
        datasets={"z": entry, "a": {"reader": "digits"}},
        methods={"p": {"family": "pca"}},
        sweeps={},
    )
    assert made.download_record("z") == ["resources/mvtec_ad.json"]
    assert made.download_record("a") == []
    assert made.archive_entry("mvtec_ad") == {"reader": "mvtec", "download": "mvtec_ad"}


def test_images_that_are_gone_are_an_error_once_results_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    entry = {"reader": "folder", "path": "images"}
    made = design(datasets={"z": entry}, methods={"p": {"family": "pca"}}, sweeps={})
    assert made.source_state("z") == "absent"
    Path("results/z").mkdir(parents=True)
    Path("results/z/dataset.h5").touch()
    with pytest.raises(DualadError, match=rf"datasets\.z\.path.*{re.escape(str(tmp_path))}"):
        made.source_state("z")


def test_gaps_are_left_out_only_where_they_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("results/a/pca").mkdir(parents=True)
    path = "results/a/pca/metrics.json"
    Path(path).touch()
    assert len(design().available(design().metrics_files())) == 9
    gappy = design(allow_gaps=True)
    assert gappy.available(gappy.metrics_files()) == [path]
    assert gappy.drawn_families("a", gappy.drawn_paths("a")) == {"pca": "pca"}
    assert gappy.figure_folders() == ["results/a/figures"]


def test_tables_read_the_results_that_they_show() -> None:
    tables = table_targets(design())
    assert "table08_encoders" not in tables and "batch_law" not in tables
    assert tables["table06_performance"].results == design().metrics_files()
    ablation = tables["table09_ablation"]
    assert ablation.results[:2] == ["results/a/dual/metrics.json", "results/a/youden/metrics.json"]
    assert "results/b/youden/scores.csv" in ablation.files
    assert list(ablation.methods) == ["dual", "youden"]
    assert tables["table04_05_batch_search"].results == []
    costs = tables["costs"].files
    assert "results/a/dual/search/trials.csv" in costs
    assert "results/a/pca/search/trials.csv" not in costs


def test_the_reference_is_padim_unless_it_is_named() -> None:
    assert design().reference == "padim"
    assert design(reference="dual").reference == "dual"
    without = {"dual": {"family": DUAL}, "pca": {"family": "pca", "repeats": 2}}
    assert design(methods=without).reference is None
    with pytest.raises(DualadError, match=r"reference: no method 'pca@1'; choose one of dual, pca"):
        design(methods=without, reference="pca@1")


def test_notes_on_a_dataset_come_from_its_description_and_its_shift() -> None:
    assert design().description_files(["results/a/dual/metrics.json", "results/a/sweeps/seed"]) == [
        "results/a/dataset.json",
        "results/a/shift.json",
    ]


def test_a_recommendation_is_made_among_full_methods_and_first_runs() -> None:
    made = design()
    assert made.candidates("a") == ["dual", "short", "pca", "padim"]
    assert made.candidates("b") == ["dual", "padim"]
    files = ["results/a/recommended.json", "results/b/recommended.json"]
    assert made.recommendation_files() == files
    table = table_targets(made)["recommended"]
    assert table.results == files
    assert (
        "results/b/padim/scores.csv" in table.files and "results/b/dual/metrics.json" in table.files
    )
    assert not [path for path in table.files if "youden" in path or "@" in path]


def test_with_gaps_a_recommendation_is_made_among_what_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("results/a/pca").mkdir(parents=True)
    Path("results/a/pca/metrics.json").touch()
    made = design(allow_gaps=True)
    assert made.candidates("a") == ["pca"] and made.candidates("b") == []
    assert made.recommendation_files() == ["results/a/recommended.json"]


def test_figures_read_the_results_that_they_show() -> None:
    figures = figure_targets(design())
    shown = figures["fig04_performance__dual"]
    assert shown.results == ["results/a/dual/metrics.json", "results/b/dual/metrics.json"]
    assert {"results/a/dataset.h5", "results/b/dual/predictions.h5"} <= set(shown.files)
    assert "results/a/dual/model.keras" not in shown.files
    assert figures["repeats"].results == [
        "results/a/pca/metrics.json",
        "results/a/pca@1/metrics.json",
    ]
    sweep = figures["fig07_seed_sensitivity"]
    assert sweep.sweep_values == ["seed", "seed", ["a", "b"], ["0", "1"]]
    assert sweep.results == ["results/a/sweeps/seed", "results/b/sweeps/seed"]


def test_a_gallery_is_made_of_every_first_run_from_the_images_that_it_saw() -> None:
    made = design().galleries("a")
    assert list(made) == ["dual", "youden", "short", "pca", "padim"]
    assert made["pca"] == "results/a/pca/gallery.html"
    assert list(design().galleries("b")) == ["dual", "youden", "padim"]
    read = design().gallery_inputs("b")
    assert read["images"] == ["results/b/colour64.h5"]
    assert read["methods"] == [
        f"results/b/{name}/{file}"
        for name in ("dual", "youden", "padim")
        for file in ("predictions.h5", "scores.csv", "threshold.json", "metrics.json")
    ]


def test_the_page_of_all_results_reads_no_model_and_no_file_of_a_method_that_cannot_be_recommended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = design().index_inputs()
    # `youden` is a variant in a comparison: its gallery is linked, its predictions are not read.
    assert "results/b/youden/gallery.html" in read["galleries"]
    assert "results/b/youden/predictions.h5" not in read["candidates"]
    assert {"results/b/padim/predictions.h5", "results/b/dual/scores.csv"} <= set(
        read["candidates"]
    )
    assert read["attempts"][0] == "results/a/dual/attempts.csv"
    assert not [path for paths in read.values() for path in paths if path.endswith(".keras")]
    # Without any result there is nothing to read but what describes the datasets.
    monkeypatch.chdir(tmp_path)
    empty = design(allow_gaps=True).index_inputs()
    assert not any(empty.values())


def test_algorithm_1_adds_a_table_and_a_figure() -> None:
    made = design(batch_search={"method": "dual", "datasets": ["b"]})
    table = table_targets(made)["table04_05_batch_search"]
    assert table.results == ["results/b/batch_search/result.json"]
    assert table.files == ["results/b/batch_search/evaluations.csv"]
    assert "batch_law" in table_targets(made) and "fig02_batch_law" in figure_targets(made)


@pytest.mark.parametrize(
    "builder", [product.builder for product in (*TABLES.values(), *FIGURES.values(), SWEEP_FIGURE)]
)
def test_every_builder_exists(builder: str) -> None:
    module, _, function = builder.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_labels_name_figure_and_method() -> None:
    assert figure_labels("training_curves__dual") == {"figure": "training curves", "method": "dual"}
    assert figure_labels("roc") == {"figure": "roc", "method": "(all)"}


def test_a_fingerprint_begins_with_its_name_and_ignores_the_order_of_keys() -> None:
    assert re.fullmatch(r"dual:[0-9a-f]{8}", reruns.fingerprint("dual", {"a": 1, "b": (2,)}))
    assert reruns.fingerprint("x", {"a": 1, "b": 2}) == reruns.fingerprint("x", {"b": 2, "a": 1})
    assert reruns.fingerprint("x", {"a": 1}) != reruns.fingerprint("x", {"a": 1.0})


def test_a_changed_method_alone_changes_its_fingerprint_in_a_table() -> None:
    other = design(methods={"dual": {"family": DUAL}, "pca": {"family": "pca", "components": 3}})
    same = design(methods={"dual": {"family": DUAL}, "pca": {"family": "pca"}})
    prints = [
        reruns.table_fingerprints(table_targets(made)["table07_methods"]) for made in (other, same)
    ]
    assert [text.partition(":")[0] for text in set(prints[0]) - set(prints[1])] == ["pca"]


def test_what_a_table_of_many_methods_prints_fits_a_terminal() -> None:
    prints = [
        set(reruns.table_fingerprints(table_targets(configured(file))["table07_methods"]))
        for file in ("config.yaml", "paper.yaml")
    ]
    assert len(",".join(prints[0] ^ prints[1])) < 1000


def test_the_design_imports_nothing_heavy() -> None:
    code = (
        "import sys, dualad.design.products, dualad.design.reruns, dualad.design.schema;"
        "print([m for m in ('numpy', 'pandas', 'tensorflow', 'matplotlib') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
