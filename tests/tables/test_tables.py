import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f_oneway
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score, roc_auc_score
from written_tables import body, records

from dualad.design.experiments import resolve_methods
from dualad.errors import DualadError
from dualad.evaluation.bootstrap import Resampling, bootstrap_image_metrics
from dualad.evaluation.metrics import Judgement
from dualad.results.runs import read_runs
from dualad.tables.ablation import METRICS as ABLATION_METRICS
from dualad.tables.ablation import ablation_table, difference_intervals
from dualad.tables.calibration import calibration_table
from dualad.tables.cost import costs_table
from dualad.tables.differences import differences_table
from dualad.tables.encoders import encoders_table
from dualad.tables.formats import write_table
from dualad.tables.methods import methods_table
from dualad.tables.named import write_named_table
from dualad.tables.performance import PERFORMANCE, performance_table
from dualad.tables.ranking import ranks_table
from dualad.tables.reproducibility import reproducibility_table

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


def test_table06_in_four_formats(put, tmp_path):
    written = write_table(
        tmp_path / "out" / "table06", performance_table(read_runs([put(metrics("zipper", "dual"))]))
    )
    assert [path.name for path in written] == [f"table06.{e}" for e in ("csv", "md", "tex", "html")]
    (record,) = records(written[0])
    assert float(record["auroc"]) == 0.9 and float(record["auroc_ci_lo"]) == pytest.approx(0.8)
    assert record["tp"] == "9" and record["pixel_auroc"] == ""
    head, _, row = body(written[1])
    assert head[2:13] == list(PERFORMANCE.values())
    assert row[:3] == ["zipper", "dual", "90.0 [80.0, 95.0]"] and row[13] == "0.42"


def test_table06_names_the_rule_of_the_threshold(put, tmp_path):
    conformal = {"rule": "conformal", "alpha": 0.05}
    agreement = {"base_rate": 0.4, "threshold_probability": 0.3, "flagged_below_half": 7}
    paths = [
        put(metrics("zipper", "dual", threshold=conformal, agreement=agreement)),
        put(metrics("zipper", "pca", threshold={"rule": "youden"})),
        put(metrics("zipper", "made_by_version_0_2")),
    ]
    written = write_table(tmp_path / "t", performance_table(read_runs(paths)))
    table = body(written[1])
    column = table[0].index("Threshold")
    assert [row[column] for row in table[2:]] == ["conformal 0.05", "youden", "–"]  # noqa: RUF001
    first, second, old = records(written[0])
    assert [row["threshold"] for row in (first, second, old)] == ["conformal 0.05", "youden", ""]
    assert first["threshold_probability"] == "0.3" and first["flagged_below_half"] == "7"
    assert old["base_rate"] == "" and "exact (Clopper and Pearson" in written[1].read_text()


def test_table10_shows_the_probability_at_the_threshold(put, tmp_path):
    agreement = {"threshold_probability": 0.3125, "flagged_below_half": 7}
    paths = [put(metrics("zipper", "dual", agreement=agreement)), put(metrics("rope", "dual"))]
    table = body(write_table(tmp_path / "t", calibration_table(read_runs(paths)))[1])
    column = table[0].index("Probability at threshold")
    assert [row[column : column + 2] for row in table[2:4]] == [
        ["0.312", "7"],
        ["–", "–"],  # noqa: RUF001
    ]


def test_an_undefined_metric_is_a_dash_and_an_empty_cell(put, tmp_path):
    content = metrics("zipper", "dual", precision=None)
    content["ci"]["precision"] = None
    written = write_table(tmp_path / "t", performance_table(read_runs([put(content)])))
    assert records(written[0])[0]["precision"] == ""
    assert body(written[1])[2][9] == "–"  # noqa: RUF001


def test_the_table_of_differences_names_controls_and_verdicts(put, tmp_path):
    aurocs = {"pca": 0.6, "padim": 0.7, "dual": 0.9}
    labels, rng = np.tile([0, 1], 60), np.random.default_rng(0)
    paths = []
    for method, gap in (("pca", 0.4), ("padim", 0.8), ("dual", 4.0)):
        family = "dual_autoencoder" if method == "dual" else method
        path = put(metrics("zipper", method, value=aurocs[method], mc=False, family=family))
        rows = pd.DataFrame(
            {"image": map(str, range(240)), "split": np.repeat(["val", "test"], 120)}
        )
        rows["label"], rows["decision"] = np.tile(labels, 2), 0
        rows["score"] = rng.normal(size=240) + gap * rows["label"]
        rows.to_csv(path.parent / "scores.csv", index=False)
        paths.append(path)
    written = write_table(
        tmp_path / "t", differences_table(read_runs(paths), reference="padim", resamples=200)
    )
    by_method = {record["method"]: record for record in records(written[0])}
    assert by_method["dual"]["validation_control"] == by_method["dual"]["test_control"] == "pca"
    assert float(by_method["dual"]["validation_control_difference"]) == pytest.approx(0.3)
    assert by_method["dual"]["reference_verdict"] == "better"
    assert by_method["pca"]["validation_control_difference"] == ""
    head, _, pca, padim, dual = body(written[1])
    assert head[3:] == [
        *("Control by validation", "Difference", "Verdict"),
        *("Control by test", "Difference", "Verdict"),
        *("Difference to padim", "Verdict", "Notes"),
    ]
    assert pca[3:5] == ["pca", "–"] and padim[9] == "–"  # noqa: RUF001
    assert dual[4].startswith("**+30.0 [") and dual[5] == "better" and dual[10] == "better"
    without = write_table(tmp_path / "u", differences_table(read_runs(paths), resamples=0))
    assert body(without[1])[0][-2:] == ["Verdict", "Notes"] and len(body(without[1])[0]) == 10


def test_missing_results_leave_a_gap(put, tmp_path):
    missing = tmp_path / "rope" / "dual" / "metrics.json"
    for table in (performance_table, calibration_table):
        runs = read_runs([put(metrics(table.__name__, "dual")), missing])
        written = write_table(tmp_path / table.__name__, table(runs))
        record = records(written[0])[1]
        assert record["dataset"] == "rope" and record["notes"] == "no result"
        row = body(written[1])[3]
        assert row[0] == "rope" and row[-1] == "no result" and row[2] == "–"  # noqa: RUF001


def test_table06_of_nothing_but_gaps(tmp_path):
    written = write_table(
        tmp_path / "t", performance_table(read_runs([tmp_path / "rope" / "dual" / "metrics.json"]))
    )
    assert len(records(written[0])) == 1


def test_pixel_columns_appear_where_a_dataset_has_masks(put, tmp_path):
    first = put(metrics("zipper", "dual"))
    second = put(metrics("brick", "dual", pixel_auroc=0.8, aupro=0.7))
    assert (
        "AUPRO"
        not in body(write_table(tmp_path / "a", performance_table(read_runs([first])))[1])[0]
    )
    table = body(write_table(tmp_path / "b", performance_table(read_runs([first, second])))[1])
    assert table[0][13:15] == ["Pixel AUROC", "AUPRO"]
    assert table[2][13].startswith("–") and table[3][13].startswith("80.0")  # noqa: RUF001


def test_notes_of_method_and_dataset_are_shown(put, tmp_path):
    path = put(metrics("brick", "padim", notes=["random features"]))
    (tmp_path / "brick" / "dataset.json").write_text(json.dumps({"note": "synthetic defects"}))
    for written in (
        write_table(tmp_path / "a", performance_table(read_runs([path]))),
        write_table(tmp_path / "b", calibration_table(read_runs([path]))),
    ):
        for file in written:
            assert "synthetic defects; random features" in file.read_text()


def test_latex_and_html_are_escaped(put, tmp_path):
    path = put(metrics("metal_nut", "a_b", notes=["100% <b>&"]))
    _, markdown, latex, page = write_table(tmp_path / "t", performance_table(read_runs([path])))
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
        put(metrics("rope", "on_rope_alone")),
    ]
    written = write_table(tmp_path / "table10", calibration_table(read_runs(paths)))
    zipper, rope, _, mean = records(written[0])
    assert (zipper["fpr_deterministic"], zipper["fpr_mc"]) == ("0.1", "0.05")
    assert rope["variance_normal"] == "1.25e-05" and rope["lambda"] == "0.5"
    assert (mean["dataset"], mean["method"]) == ("(mean)", "dual")
    assert float(mean["fpr_deterministic"]) == pytest.approx(0.2)
    assert float(mean["variance_anomalous"]) == pytest.approx(6e-5)
    assert mean["notes"] == "mean over 2 datasets"
    assert r"$1.25 \times 10^{-5}$" in written[2].read_text()


def test_the_means_of_table10_keep_the_methods_notes(put, tmp_path):
    paths = [
        put(metrics("zipper", "padim", notes=["random features"])),
        put(metrics("brick", "padim", notes=["random features"])),
        tmp_path / "rope" / "padim" / "metrics.json",
    ]
    mean = records(write_table(tmp_path / "t", calibration_table(read_runs(paths)))[0])[-1]
    assert mean["notes"] == "mean over 2 datasets; random features; no result (rope)"


def test_table10_averages_only_what_is_defined(put, tmp_path):
    content = metrics("rope", "dual")
    content["mc"]["ece"] = None
    paths = [put(content), put(metrics("zipper", "dual", value=0.4))]
    mean = records(write_table(tmp_path / "t", calibration_table(read_runs(paths)))[0])[-1]
    assert float(mean["ece_mc"]) == pytest.approx(0.4)
    assert float(mean["ece_deterministic"]) == pytest.approx(0.65)


def test_table10_without_any_monte_carlo_has_only_a_head(put, tmp_path):
    written = write_table(
        tmp_path / "t", calibration_table(read_runs([put(metrics("rope", "pca", mc=False))]))
    )
    assert records(written[0]) == [] and len(body(written[1])) == 2
    assert written[0].read_text().startswith("dataset,method,runs,fpr_deterministic,")


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "rope" / "dual" / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(DualadError, match=r"rope/dual/metrics\.json.*delete it"):
        write_table(tmp_path / "t", performance_table(read_runs([path])))


def test_writing_again_gives_the_same_bytes(put, tmp_path):
    path = put(metrics("zipper", "dual"))
    first = [
        file.read_bytes()
        for file in write_table(tmp_path / "t", performance_table(read_runs([path])))
    ]
    assert [
        file.read_bytes()
        for file in write_table(tmp_path / "t", performance_table(read_runs([path])))
    ] == first
    assert not list(tmp_path.glob(".*"))


def put_runs(put, dataset, method, values, params=None, **changes):
    """Runs of a method, one per value of every metric; `params` go to their `threshold.json`."""
    paths = []
    for i, value in enumerate(values):
        name = method if i == 0 else f"{method}@{i}"
        path = put(metrics(dataset, name, value=value, **changes))
        method_params = {"family": "dual_autoencoder", "repeat": i, **(params or {})}
        path.with_name("threshold.json").write_text(json.dumps({"method": method_params}))
        paths.append(path)
    return paths


def test_table06_takes_the_repeats_of_a_method_together(put, tmp_path):
    paths = [*put_runs(put, "zipper", "dual", [0.9, 0.8, 0.7]), put(metrics("zipper", "pca"))]
    written = write_table(tmp_path / "t", performance_table(read_runs(paths)))
    first, second = records(written[0])
    assert (first["method"], first["runs"], first["auroc"]) == ("dual", "3", "0.9")
    assert float(first["auroc_mean"]) == pytest.approx(0.8)
    assert float(first["auroc_sd"]) == pytest.approx(0.1)
    assert float(first["auroc_ci_lo"]) == pytest.approx(0.8)
    assert second["runs"] == "1" and second["auroc_sd"] == ""
    rows = body(written[1])[2:]
    assert rows[0][1:3] == ["dual (3 runs)", "80.0 ± 10.0"]
    assert rows[1][1:3] == ["pca", "90.0 [80.0, 95.0]"]
    assert "standard deviation" in written[1].read_text()
    assert r"80.0 $\pm$ 10.0" in written[2].read_text()


def test_the_caption_speaks_of_runs_only_where_there_are_several(put, tmp_path):
    written = write_table(
        tmp_path / "t", performance_table(read_runs([put(metrics("zipper", "dual"))]))
    )
    assert "standard deviation" not in written[1].read_text()


def test_a_missing_repeat_is_named_and_the_others_count(put, tmp_path):
    paths = put_runs(put, "zipper", "dual", [0.9, 0.7])
    missing = tmp_path / "zipper" / "dual@2" / "metrics.json"
    written = write_table(tmp_path / "t", performance_table(read_runs([*paths, missing])))
    (record,) = records(written[0])
    assert record["notes"] == "no result of dual@2" and record["runs"] == "2"
    assert body(written[1])[2][2] == "80.0 ± 14.1"


def test_a_metric_that_one_run_leaves_undefined_has_no_mean(put, tmp_path):
    paths = put_runs(put, "zipper", "dual", [0.9])
    paths.append(put(metrics("zipper", "dual@1", precision=None)))
    written = write_table(tmp_path / "t", performance_table(read_runs(paths)))
    (record,) = records(written[0])
    assert record["precision"] == "0.9" and record["precision_mean"] == ""
    assert body(written[1])[2][9].startswith("–")  # noqa: RUF001


def test_table10_averages_each_run_over_the_datasets(put, tmp_path):
    paths = [
        *put_runs(put, "rope", "dual", [0.1, 0.3]),
        *put_runs(put, "zipper", "dual", [0.5, 0.5]),
        # Made on one dataset only, so not comparable.
        put(metrics("zipper", "dual@2", value=0.99)),
    ]
    mean = records(write_table(tmp_path / "t", calibration_table(read_runs(paths)))[0])[-1]
    assert mean["runs"] == "2"
    assert float(mean["fpr_deterministic"]) == pytest.approx(0.3)
    assert float(mean["fpr_deterministic_mean"]) == pytest.approx(0.35)
    assert float(mean["fpr_deterministic_sd"]) == pytest.approx(np.std([0.3, 0.4], ddof=1))


def test_table07_comes_from_the_registry_and_the_parameters(tmp_path):
    methods = resolve_methods(
        {
            "dual": {"family": "dual_autoencoder", "repeats": 2},
            "image_only": {"family": "dual_autoencoder", "encoders": ["image"]},
            "padim": {"family": "padim", "weights": "random", "input_size": 224},
            "adpr": {"family": "adpr"},
            "pixels": {"family": "pixels_supervised"},
        }
    )
    written = write_table(tmp_path / "t", methods_table(methods, image_size=68))
    dual, image_only, padim, adpr, pixels = records(written[0])
    assert (dual["method"], image_only["method"]) == ("dual", "image_only")
    assert (dual["sees"], padim["sees"]) == ("gray 68", "colour 224")
    assert (padim["backbone"], padim["weights"]) == ("efficientnet_lite0", "random")
    assert padim["notes"] == "random features" and adpr["notes"] == "interpretation"
    assert pixels["notes"] == "semi-supervised"
    assert dual["backbone"] == "" and dual["notes"] == ""
    rows = body(written[1])[2:]
    assert rows[0][0] == r"dual, image\_only" and len(rows) == 4
    assert r"p{5cm}" in written[2].read_text()


def test_table08_has_a_block_per_metric_and_the_best_in_bold(put, tmp_path):
    paths = [
        put(metrics("zipper", "dual", value=0.9)),
        put(metrics("rope", "dual", value=0.5, tpr=0.8)),
        put(metrics("zipper", "image_only", value=0.9)),
        put(metrics("rope", "image_only", value=0.6, notes=["random features"])),
        put(metrics("rope", "other")),
        tmp_path / "zipper" / "pixel_only" / "metrics.json",
    ]
    (tmp_path / "rope" / "dataset.json").write_text(json.dumps({"note": "synthetic defects"}))
    written = write_table(
        tmp_path / "t", encoders_table(read_runs(paths), ["image_only", "pixel_only", "dual"])
    )
    rows = body(written[1])
    assert rows[0] == ["Method", "zipper", "rope", "Notes"]
    blocks = [row[0].strip("*") for row in rows if row[0].startswith("**")]
    assert blocks == ["AUROC", "Balanced accuracy", "F1", "TPR"]
    image_only, pixel_only, dual = rows[3:6]
    assert image_only[1] == "**90.0 [80.0, 95.0]**" and dual[1] == "**90.0 [80.0, 95.0]**"
    assert image_only[2].startswith("**60.0") and dual[2].startswith("50.0")
    assert pixel_only[1] == "–" and "no result" in pixel_only[3]  # noqa: RUF001
    assert image_only[3] == "random features (rope)"
    assert "**80.0" in rows[-1][2]
    assert "rope: synthetic defects" in written[1].read_text()
    found = records(written[0])
    assert len(found) == 4 * 3 * 2 and "other" not in {record["method"] for record in found}
    assert (found[1]["dataset"], found[1]["value"]) == ("rope", "0.6")
    assert float(found[1]["value_ci_lo"]) == pytest.approx(0.5)
    latex, page = written[2].read_text(), written[3].read_text()
    assert r"\multicolumn{4}{l}{\textbf{AUROC}} \\" in latex
    assert r"\textbf{90.0 {\scriptsize [80.0, 95.0]}}" in latex
    assert '<th class="text" colspan="4">AUROC</th>' in page and "<strong>90.0" in page


def put_scores(path, score, label, threshold=0.5, images=None):
    """A `scores.csv` beside a `metrics.json` that agrees with it."""
    score, label = np.asarray(score), np.asarray(label)
    decision = (score > threshold).astype(int)
    images = [f"{i}.png" for i in range(len(label))] if images is None else images
    table = pd.DataFrame(
        {"image": images, "split": "test", "label": label, "decision": decision, "score": score}
    )
    extra = table.assign(split="val", image="v.png", score=99.0).head(1)
    pd.concat([extra, table]).to_csv(path.with_name("scores.csv"), index=False)
    recalls = [recall_score(label, decision, pos_label=of) for of in (0, 1)]
    content = json.loads(path.read_text()) | {
        "auroc": roc_auc_score(label, score),
        "balanced_accuracy": balanced_accuracy_score(label, decision),
        "f1": f1_score(label, decision),
        "g_mean": float(np.sqrt(np.prod(recalls))),
    }
    path.write_text(json.dumps(content))
    return [content[metric] for metric in ABLATION_METRICS]


@pytest.fixture
def ablation(put):
    """The full model, which separates well, and one that does not."""
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], [60, 40])
    (full,) = put_runs(put, "zipper", "dual", [0.9], {"seed": "dynamic", "mc": {"samples": 5}})
    (weak,) = put_runs(put, "zipper", "weak", [0.9], {"seed": 42, "mc": {"samples": 9}})
    noise = rng.normal(size=100)
    put_scores(full, label + 0.3 * noise, label)
    put_scores(weak, label + 3 * rng.normal(size=100), label)
    return full, weak, label, noise


def test_table09_shows_differences_and_what_was_changed(ablation, tmp_path):
    written = write_table(tmp_path / "t", ablation_table(read_runs(ablation[:2]), ["dual", "weak"]))
    full, weak = records(written[0])
    assert full["auroc_difference"] == "" and full["change"] == "full model"
    assert weak["change"] == "seed = 42, mc.samples = 9"
    expected = float(weak["auroc"]) - float(full["auroc"])
    assert float(weak["auroc_difference"]) == pytest.approx(expected)
    low, high = (float(weak[f"auroc_difference_ci_{end}"]) for end in ("lo", "hi"))
    assert low < expected < high < 0
    rows = body(written[1])
    assert rows[3][4].startswith("**-") and not rows[3][3].startswith("**")
    assert "$-$" in written[2].read_text()


def test_an_ablation_that_changes_nothing_differs_by_nothing(ablation, put, tmp_path):
    full, _, label, noise = ablation
    same = put(metrics("zipper", "same"))
    # The same order of the images under another name of the score.
    put_scores(same, 10 * (label + 0.3 * noise), label, threshold=5)
    written = write_table(tmp_path / "t", ablation_table(read_runs([full, same]), ["dual", "same"]))
    record = records(written[0])[1]
    for metric in ABLATION_METRICS:
        assert float(record[f"{metric}_difference"]) == 0
        assert float(record[f"{metric}_difference_ci_lo"]) == 0
    assert body(written[1])[3][4] == "0.0 [0.0, 0.0]"


def test_differences_do_not_depend_on_the_order_of_the_images(ablation, put):
    full, weak, *_ = ablation
    table = pd.read_csv(weak.with_name("scores.csv"))
    shuffled = put(metrics("zipper", "shuffled"))
    table.sample(frac=1, random_state=0).to_csv(shuffled.with_name("scores.csv"), index=False)
    reference, ordered, other = read_runs([full, weak, shuffled])
    found = [
        difference_intervals(runs, reference, Resampling())["auroc"] for runs in (ordered, other)
    ]
    assert found[0] == found[1]


def test_a_paired_interval_is_narrower_than_the_methods_own(ablation, put):
    full, _, label, noise = ablation
    near = put(metrics("zipper", "near"))
    put_scores(near, label + 0.31 * noise, label)
    ablated, reference = read_runs([near, full])
    paired = difference_intervals(ablated, reference, Resampling())["balanced_accuracy"]
    for path in (near, full):
        table = pd.read_csv(path.with_name("scores.csv")).query("split == 'test'")
        columns = (table[name].to_numpy() for name in ("label", "score", "decision"))
        own = bootstrap_image_metrics(Judgement(*columns, None), 10, Resampling())
        assert np.ptp(paired) < 0.5 * np.ptp(own["balanced_accuracy"])


def test_differences_are_resampled_as_configured_and_as_the_evaluator_does(ablation, put):
    full, _, label, _ = ablation
    chance = put(metrics("zipper", "chance"))
    # A method that tells nothing apart has the same metrics on every sample.
    put_scores(chance, np.zeros(100), label)
    ours, theirs = read_runs([full, chance])
    resampling = Resampling(200, 0.8, seed=0)
    paired = difference_intervals(ours, theirs, resampling)
    table = pd.read_csv(full.with_name("scores.csv")).query("split == 'test'").sort_values("image")
    columns = (table[name].to_numpy() for name in ("label", "score", "decision"))
    own = bootstrap_image_metrics(Judgement(*columns, None), 10, resampling)
    for metric in ("auroc", "balanced_accuracy"):
        assert paired[metric] == pytest.approx([bound - 0.5 for bound in own[metric]])
    assert difference_intervals(ours, theirs, Resampling(0)) == {}


def test_table09_takes_the_configured_confidence(ablation, tmp_path):
    widths = []
    for confidence in (0.5, 0.99):
        table = ablation_table(read_runs(ablation[:2]), ["dual", "weak"], confidence=confidence)
        record = records(write_table(tmp_path / "t", table)[0])[1]
        low, high = (float(record[f"auroc_difference_ci_{end}"]) for end in ("lo", "hi"))
        widths.append(high - low)
    assert widths[0] < 0.5 * widths[1]


def test_differences_of_several_runs_are_differences_of_means(put, tmp_path):
    label = np.repeat([0, 1], [30, 20])
    rng = np.random.default_rng(0)
    paths = [*put_runs(put, "rope", "dual", [0, 0]), *put_runs(put, "rope", "weak", [0, 0, 0])]
    values = [put_scores(path, label + rng.normal(size=50), label)[0] for path in paths]
    record = records(
        write_table(tmp_path / "t", ablation_table(read_runs(paths), ["dual", "weak"]))[0]
    )[1]
    expected = np.mean(values[2:]) - np.mean(values[:2])
    assert float(record["auroc_difference"]) == pytest.approx(expected)
    assert float(record["auroc_difference_ci_lo"]) < expected
    assert float(record["auroc_difference_ci_hi"]) > expected


def test_methods_tested_on_different_images_are_not_compared(ablation, put, tmp_path):
    full, _, label, noise = ablation
    other = put(metrics("zipper", "other"))
    put_scores(other, label + noise, label, images=[f"x{i}.png" for i in range(100)])
    with pytest.raises(DualadError, match=r"dual.scores\.csv.*not those of .*other.scores\.csv"):
        write_table(tmp_path / "t", ablation_table(read_runs([full, other]), ["dual", "other"]))


def test_table09_without_the_full_model_has_gaps(ablation, tmp_path):
    missing = tmp_path / "zipper" / "gone" / "metrics.json"
    written = write_table(
        tmp_path / "t", ablation_table(read_runs([missing, ablation[1]]), ["gone", "weak"])
    )
    gone, weak = records(written[0])
    assert gone["notes"] == "no result" and weak["auroc_difference"] == ""
    assert float(weak["auroc"]) > 0


def test_table09_without_scores_has_no_interval(ablation, tmp_path):
    full, weak, *_ = ablation
    weak.with_name("scores.csv").unlink()
    record = records(
        write_table(tmp_path / "t", ablation_table(read_runs([full, weak]), ["dual", "weak"]))[0]
    )[1]
    assert record["auroc_difference"] != "" and record["auroc_difference_ci_lo"] == ""


def test_reproducibility_compares_seed_policies(put, tmp_path):
    wide, narrow = [0.5, 0.7, 0.9, 0.6, 0.8], [0.8, 0.801, 0.799, 0.8, 0.8]
    paths = [
        *put_runs(put, "zipper", "dual", narrow, {"seed": "dynamic", "dropout": 0.1}),
        *put_runs(put, "zipper", "no_seed", wide, {"seed": "none", "dropout": 0.1}),
        *put_runs(put, "zipper", "fixed", [0.8, 0.9], {"seed": 42, "dropout": 0.1}),
        *put_runs(put, "zipper", "other", wide, {"seed": "dynamic", "dropout": 0.2}),
        put(metrics("zipper", "pca")),
    ]
    dual, no_seed, fixed, other = records(
        write_table(tmp_path / "t", reproducibility_table(read_runs(paths)))[0]
    )
    assert (dual["seed_policy"], fixed["seed_policy"]) == ("dynamic", "fixed (42)")
    assert (no_seed["runs"], no_seed["auroc_min"], no_seed["auroc_max"]) == ("5", "0.5", "0.9")
    assert float(no_seed["auroc_sd"]) == pytest.approx(np.std(wide, ddof=1))
    # Brown-Forsythe by hand: a one-way analysis of variance of |x - median|; SciPy has it as
    # f_oneway. Two runs are too few to take part, and `other` differs in more than its seed.
    deviations = [np.abs(np.array(x) - np.median(x)) for x in (narrow, wide)]
    expected = f_oneway(*deviations).pvalue
    for record in (dual, no_seed):
        assert float(record["auroc_equal_spread_p"]) == pytest.approx(expected)
    assert float(dual["auroc_equal_spread_p"]) < 0.05
    assert other["auroc_equal_spread_p"] == ""


def test_reproducibility_without_repeats_has_only_a_head(put, tmp_path):
    empty = write_table(
        tmp_path / "a", reproducibility_table(read_runs([put(metrics("zipper", "pca"))]))
    )[0]
    full = write_table(
        tmp_path / "b", reproducibility_table(read_runs(put_runs(put, "rope", "dual", [0.8, 0.9])))
    )[0]
    assert empty.read_text() == full.read_text().splitlines(keepends=True)[0]


def test_reproducibility_where_nothing_varies(put, tmp_path):
    paths = [
        *put_runs(put, "zipper", "dual", [0.8] * 3, {"seed": "dynamic"}),
        *put_runs(put, "zipper", "fixed", [0.8] * 3, {"seed": 42}),
    ]
    written = write_table(tmp_path / "t", reproducibility_table(read_runs(paths)))
    assert records(written[0])[0]["auroc_equal_spread_p"] == ""
    assert body(written[1])[2][4:8] == ["80.0 ± 0.0", "80.0", "80.0", "–"]  # noqa: RUF001


@pytest.mark.parametrize(
    ("one", "other"),
    [([0.8] * 4, [0.8, 0.8, 0.9, 0.9]), ([0.5, 0.5, 1, 1], [0.5, 0.5, 1, 1])],
)
def test_runs_that_tie_in_pairs_leave_the_test_of_spread_undefined(put, tmp_path, one, other):
    paths = [
        *put_runs(put, "zipper", "dual", one, {"seed": "dynamic"}),
        *put_runs(put, "zipper", "fixed", other, {"seed": 42}),
    ]
    for record in records(write_table(tmp_path / "t", reproducibility_table(read_runs(paths)))[0]):
        assert record["auroc_equal_spread_p"] == "" and record["auroc_sd"] != ""


def test_costs_of_search_fit_and_scoring(put, tmp_path):
    path = put(metrics("zipper", "dual"))
    for name, content in {
        "fit.json": {"seconds": 90.0, "peak_memory_mb": 900.5, "n_parameters": 36_814_352},
        "scoring.json": {"seconds": 3.0, "images": 60, "peak_memory_mb": 800.0},
        "threshold.json": {"method": {"dropout": "tuned"}},
    }.items():
        path.with_name(name).write_text(json.dumps(content))
    (path.parent / "search").mkdir()
    (path.parent / "search/trials.csv").write_text(
        "trial,status,val_loss,seconds\n0,COMPLETED,1,5\n1,FAILED,,\n2,COMPLETED,1,6.5\n"
    )
    bare = put(metrics("zipper", "pca"))
    written = write_table(tmp_path / "t", costs_table(read_runs([path, bare])))
    dual, pca = records(written[0])
    assert (dual["search_seconds"], dual["fit_seconds"]) == ("11.5", "101.5")
    assert (dual["score_milliseconds"], dual["peak_memory_mb"]) == ("50.0", "900.5")
    assert pca["fit_seconds"] == "" and pca["search_seconds"] == ""
    # The rates are given now; what an earlier configuration searched is still in the folder.
    path.with_name("threshold.json").write_text('{"method": {"dropout": 0.2}}')
    dual, _ = records(write_table(tmp_path / "t", costs_table(read_runs([path, bare])))[0])
    assert (dual["search_seconds"], dual["fit_seconds"]) == ("0.0", "90.0")
    assert "36,814,352" in body(written[1])[2]


def test_ranks_are_of_means_over_runs_and_name_what_is_missing(put, tmp_path):
    paths = []
    for dataset in ("zipper", "rope"):
        paths += put_runs(put, dataset, "dual", [0.5, 0.9])
        paths += [put(metrics(dataset, "pca", value=0.6, notes=["random features"]))]
    paths += [put(metrics("rope", "padim"))]
    written = write_table(tmp_path / "t", ranks_table(read_runs(paths)))
    dual, pca = records(written[0])
    assert (dual["method"], dual["average_rank"], dual["rank_rope"]) == ("dual", "1.0", "1.0")
    assert pca["notes"] == "random features" and dual["groups"] == pca["groups"] == "a"
    assert "padim" in written[1].read_text() and "1.39" in written[1].read_text()


def test_ranks_by_a_metric_of_which_less_is_better(put, tmp_path):
    paths = [
        put(metrics(dataset, method, value=value))
        for dataset in ("zipper", "rope")
        for method, value in (("high", 0.9), ("low", 0.1))
    ]
    best = records(write_table(tmp_path / "t", ranks_table(read_runs(paths), "fpr"))[0])[0]
    assert best["method"] == "low"


def test_ranks_on_one_dataset_say_that_they_need_more(put, tmp_path):
    written = write_table(
        tmp_path / "t",
        ranks_table(read_runs([put(metrics("zipper", name)) for name in ("a", "b")])),
    )
    assert "two datasets or more" in written[1].read_text()
    assert len(body(written[1])) == 2 and records(written[0]) == []
    assert written[0].read_text() == "method,average_rank,groups,notes\n"


def test_notes_and_equal_bytes_in_every_table(put, tmp_path):
    paths = []
    for dataset in ("brick", "rope"):
        for method in ("dual", "padim"):
            paths += put_runs(put, dataset, method, [0.8, 0.9], {"seed": 1}, notes=["random f"])
        (tmp_path / dataset / "dataset.json").write_text(json.dumps({"note": "synthetic defects"}))
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], 20)
    for path in paths:
        put_scores(path, label + rng.normal(size=40), label)
    methods = resolve_methods({"dual": {"family": "pca"}, "padim": {"family": "padim"}})
    for name in (
        "table06_performance",
        "table08_encoders",
        "table09_ablation",
        "table10_calibration",
        "reproducibility",
        "costs",
        "ranks",
    ):
        written = write_named_table(name, tmp_path / name, paths, methods)
        assert "synthetic defects" in written[1].read_text(), name
        assert all("random f" in file.read_text() for file in written), name
        first = [file.read_bytes() for file in written]
        write_named_table(name, tmp_path / name, paths, methods)
        assert [file.read_bytes() for file in written] == first, name


@pytest.mark.parametrize(
    ("file", "content", "table"),
    [
        ("fit.json", "[1", costs_table),
        ("search/trials.csv", "trial\n1\n", costs_table),
        ("threshold.json", "{}", reproducibility_table),
    ],
)
def test_a_damaged_file_beside_the_metrics_is_named(put, tmp_path, file, content, table):
    paths = put_runs(put, "rope", "dual", [0.8, 0.9], {"dropout": "tuned"})
    path = paths[0].parent / file
    path.parent.mkdir(exist_ok=True)
    paths[0].with_name("fit.json").write_text('{"seconds": 1.0}')
    path.write_text(content)
    with pytest.raises(DualadError, match=rf"{file}.*delete it"):
        table(read_runs(paths))
