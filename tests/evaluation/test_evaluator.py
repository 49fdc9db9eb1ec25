"""The evaluator on a small dataset made by hand: files, laws of honesty, errors."""

import json
from dataclasses import dataclass, field, fields, replace
from inspect import signature
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from dualad.data.split import Split, make_split
from dualad.design.parameters import (
    CommonParams,
    DualAutoencoderParams,
    EvaluationParams,
    MonteCarloParams,
    ThresholdParams,
)
from dualad.errors import DualadError
from dualad.evaluation.decisions import apply_threshold
from dualad.evaluation.evaluator import evaluate, fit_threshold
from dualad.evaluation.metrics import IMAGE_METRICS
from dualad.evaluation.pixel_metrics import PIXEL_METRICS
from dualad.evaluation.predictions import Predictions, write_predictions

SIZE = 12
MASKED = range(70, 100)


def write_dataset(path: Path, labels: np.ndarray) -> None:
    """Write a `dataset.h5`: 60 training images, the rest test; the masks are squares."""
    n = len(labels)
    text = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((n, SIZE, SIZE), dtype=np.uint8)
        file["label"] = labels.astype(np.int8)
        names = {
            "source": [f"folder/image_{i:03}.png" for i in range(n)],
            "defect": ["scratch" if label else "good" for label in labels],
            "group": [""] * n,
            "official_split": ["train" if i < 60 else "test" for i in range(n)],
            "sha256": [f"{i:064x}" for i in range(n)],
        }
        for key, values in names.items():
            file.create_dataset(key, data=values, dtype=text)
        file["dropped"] = np.zeros(n, dtype=bool)
        index = np.full(n, -1, dtype=np.int32)
        stored = np.zeros((len(MASKED), SIZE, SIZE), dtype=np.uint8)
        index[list(MASKED)] = range(len(MASKED))
        for number, mask in enumerate(stored):
            mask[number % 6 : number % 6 + 4, 2:5] = 1
        file["mask_index"] = index
        file.create_dataset("masks", data=stored, chunks=(8, SIZE, SIZE))
        file.attrs.update(name="toy", reader="folder", complete=True)


@dataclass
class Case:
    """Input files of one evaluation and the arguments that go with them."""

    folder: Path
    split: Split
    predictions: Predictions
    labels: np.ndarray
    params: CommonParams = field(default_factory=DualAutoencoderParams)
    options: dict[str, Any] = field(default_factory=lambda: {"bootstrap": 50})

    def write(self) -> None:
        """Write the three input files."""
        write_dataset(self.folder / "dataset.h5", self.labels)
        (self.folder / "split.json").write_text(json.dumps(self.split.to_json()))
        write_predictions(self.folder / "predictions.h5", self.predictions)

    def run(self) -> tuple[pd.DataFrame, dict[str, Any], dict[str, Any]]:
        """Evaluate, and read what was written."""
        evaluate(
            self.folder / "dataset.h5",
            self.folder / "split.json",
            self.folder / "predictions.h5",
            self.params,
            "dual",
            self.folder,
            **self.options,
        )
        return (
            pd.read_csv(self.folder / "scores.csv", keep_default_na=False, na_values=[""]),
            json.loads((self.folder / "threshold.json").read_text()),
            json.loads((self.folder / "metrics.json").read_text()),
        )


@pytest.fixture
def case(tmp_path: Path) -> Case:
    labels = np.zeros(100, dtype=np.int64)
    labels[list(MASKED)] = 1
    write_dataset(tmp_path / "dataset.h5", labels)
    table = pd.DataFrame(
        {
            "label": labels,
            "group": "",
            "official_split": ["train"] * 60 + ["test"] * 40,
            "dropped": False,
        }
    )
    split = make_split(table, "paper", 3)
    validation = split.attempt(1, 3)[1]
    index = np.concatenate([np.array(split.test), validation])
    rng = np.random.default_rng(0)
    anomalous = labels[index]
    n = len(index)
    maps = rng.random((n, SIZE, SIZE), dtype=np.float32)
    maps[:, :6, :6] += anomalous[:, None, None].astype(np.float32)
    error = rng.normal(size=n) + 1.5 * anomalous
    predictions = Predictions(
        index=index,
        split=np.array(["test"] * len(split.test) + ["val"] * len(validation)),
        scores={"l2": error, "msle": rng.random(n) + 2 * anomalous},
        default_score="l2",
        family="dual_autoencoder",
        method="dual",
        n_parameters=123,
        mc_mean={"l2": error + 0.1 * rng.random(n)},
        mc_var={"l2": 0.1 + rng.random(n) * (1 + anomalous)},
        maps={"l2": maps},
        reconstruction_skill=0.4,
        notes=("random features",),
    )
    made = Case(tmp_path, split, predictions, labels)
    made.write()
    return made


def test_metrics_follow_from_the_written_scores(case: Case) -> None:
    scores, threshold, metrics = case.run()
    test = scores[scores["split"] == "test"]
    assert metrics["auroc"] == pytest.approx(sk.roc_auc_score(test["label"], test["score"]))
    assert metrics["balanced_accuracy"] == pytest.approx(
        sk.balanced_accuracy_score(test["label"], test["decision"])
    )
    assert sum(metrics["counts"].values()) == metrics["n_test"] == len(test) == 32
    assert (test["decision"] == (test["score"] > threshold["threshold"])).all()
    assert metrics["mc"]["auroc"] == pytest.approx(
        sk.roc_auc_score(test["label"], test["mc_score"])
    )
    assert metrics["mc"]["f1"] == pytest.approx(sk.f1_score(test["label"], test["mc_decision"]))
    assert metrics["mc"]["variance_anomalous"] == pytest.approx(
        test.loc[test["label"] == 1, "mc_var"].mean()
    )
    assert metrics["mc"]["variance_normal"] < metrics["mc"]["variance_anomalous"]


def test_the_files_have_their_keys_and_columns(case: Case) -> None:
    scores, threshold, metrics = case.run()
    assert list(scores) == [
        *("image", "split", "label", "decision", "defect", "group", "score", "probability"),
        *("p_value", "mc_mean", "mc_var", "mc_score", "mc_probability", "mc_p_value"),
        "mc_decision",
    ]
    assert list(scores["split"]) == ["val"] * (len(scores) - 32) + ["test"] * 32
    for _, part in scores.groupby("split"):
        assert part["image"].is_monotonic_increasing
    assert scores["probability"].between(0, 1).all()
    fitted = ["rule", "threshold", "validation", "calibrator", "normal_scores"]
    assert list(threshold) == ["score", *fitted, "mc", "method"]
    assert threshold["validation"]["n_anomalous"] == 6
    assert list(threshold["mc"]) == ["lambda", "error", *fitted]
    every = {*IMAGE_METRICS, *PIXEL_METRICS}
    assert every | {"ci", "counts"} <= set(metrics) and every <= set(metrics["mc"])
    assert set(metrics["ci"]) == every
    for key in every:
        low, high = metrics["ci"][key]
        assert low <= high and (low - 0.02 <= metrics[key] <= high + 0.02 or key == "ece")
    assert metrics["threshold"] == {"rule": "closest_to_corner"}
    assert metrics["notes"] == ["random features"] and metrics["reconstruction_skill"] == 0.4
    assert (metrics["dataset"], metrics["method"], metrics["family"], metrics["score"]) == (
        *("toy", "dual", "dual_autoencoder", "l2"),
    )


@pytest.mark.parametrize("prefix", ["", "mc_"])
def test_every_image_has_a_p_value_among_the_validation_normals(case: Case, prefix: str) -> None:
    scores, threshold, _ = case.run()
    score = scores[f"{prefix}score"]
    is_reference = (scores["split"] == "val") & (scores["label"] == 0)
    normals = score[is_reference].to_numpy()
    kept = (threshold["mc"] if prefix else threshold)["normal_scores"]
    assert kept == sorted(normals.tolist())
    for value, own, p_value in zip(score, is_reference, scores[f"{prefix}p_value"], strict=True):
        # A validation normal is left out of its own reference.
        others = len(normals) - own
        assert p_value == pytest.approx((1 + np.sum(normals >= value) - own) / (1 + others))


def test_a_conformal_threshold_flags_by_the_p_value(case: Case) -> None:
    case.params = DualAutoencoderParams(threshold=ThresholdParams("conformal", alpha=0.2))
    scores, threshold, metrics = case.run()
    assert threshold["rule"] == "conformal" and threshold["validation"]["fpr"] <= 0.2
    assert metrics["threshold"] == {"rule": "conformal", "alpha": 0.2}
    new = scores[(scores["split"] == "test") | (scores["label"] == 1)]
    assert 0 < new["decision"].sum() < len(new)
    for prefix in ("", "mc_"):
        flagged = new[f"{prefix}decision"] == 1
        assert (flagged == (new[f"{prefix}p_value"] <= 0.2 + 1e-12)).all()
    case.params = DualAutoencoderParams(threshold=ThresholdParams("conformal", alpha=0.001))
    with pytest.raises(DualadError, match=r"toy, dual: threshold\.alpha: .* at least 999 normal"):
        case.run()


def test_results_of_version_0_2_decide_as_before_and_have_no_p_values(case: Case) -> None:
    scores, threshold, _ = case.run()
    old = {key: value for key, value in threshold.items() if key != "normal_scores"}
    old["mc"] = {k: value for k, value in threshold["mc"].items() if k != "normal_scores"}
    again = apply_threshold(old, scores["score"], scores["mc_mean"], scores["mc_var"])
    for column in ("decision", "probability", "mc_decision", "mc_probability"):
        np.testing.assert_array_equal(again[column].to_numpy(float), scores[column].to_numpy(float))
    assert again["p_value"].isna().all() and again["mc_p_value"].isna().all()


def test_metrics_say_how_often_decision_and_probability_differ(case: Case) -> None:
    scores, threshold, metrics = case.run()
    test = scores[scores["split"] == "test"]
    for prefix, block in (("", metrics), ("mc_", metrics["mc"])):
        decision, probability = test[f"{prefix}decision"], test[f"{prefix}probability"]
        agreement = block["agreement"]
        assert agreement["flagged_below_half"] == sum((decision == 1) & (probability < 0.5))
        assert agreement["passed_above_half"] == sum((decision == 0) & (probability > 0.5))
        n_normal = threshold["validation"]["n_normal"]
        assert agreement["base_rate"] == pytest.approx(6 / (6 + n_normal))
        at_threshold = agreement["threshold_probability"]
        assert probability[decision == 0].max() <= at_threshold <= probability[decision == 1].min()


def test_rates_at_the_edge_are_not_certain(case: Case) -> None:
    case.params = DualAutoencoderParams(score="msle")
    metrics = case.run()[2]
    assert metrics["fpr"] == 0 and metrics["ci"]["fpr"][0] == 0 < 0.3 < metrics["ci"]["fpr"][1]
    assert metrics["tpr"] == 1 and metrics["ci"]["tpr"][0] < 0.95 and metrics["ci"]["tpr"][1] == 1


def test_pixel_metrics_are_those_of_the_test_images(case: Case) -> None:
    metrics = case.run()[2]
    test = np.array(case.split.test)
    rows = case.predictions.split == "test"
    with h5py.File(case.folder / "dataset.h5") as file:
        stored, number = file["masks"][:], file["mask_index"][:][test]
    masks = np.where((number >= 0)[:, None, None], stored[number], 0)
    maps = case.predictions.maps["l2"][rows]
    expected = sk.roc_auc_score(masks.ravel(), maps.ravel())
    assert metrics["pixel_auroc"] == pytest.approx(expected, abs=1e-6)
    assert 0.3 < metrics["aupro"] < 1
    assert metrics["map"] == "l2" and metrics["mc"]["aupro"] is None


def test_maps_of_another_size_are_brought_to_the_masks(case: Case) -> None:
    expected = case.run()[2]
    small = case.predictions.maps["l2"].reshape(-1, SIZE // 2, 2, SIZE // 2, 2).mean(axis=(2, 4))
    case.predictions = replace(case.predictions, maps={"other": small})
    case.write()
    found = case.run()[2]
    assert found["map"] == "other"
    assert found["pixel_auroc"] == pytest.approx(expected["pixel_auroc"], abs=0.1)


def test_a_repeat_is_identical_to_the_bit(case: Case) -> None:
    case.run()
    first = {path.name: path.read_bytes() for path in case.folder.iterdir()}
    case.run()
    assert {path.name: path.read_bytes() for path in case.folder.iterdir()} == first
    assert set(first) == {
        *("dataset.h5", "split.json", "predictions.h5"),
        *("scores.csv", "threshold.json", "metrics.json"),
    }


def test_the_test_set_decides_nothing(case: Case) -> None:
    case.run()
    before = (case.folder / "threshold.json").read_bytes()
    test = np.array(case.split.test)
    case.labels[test] = np.random.default_rng(1).permutation(case.labels[test])
    rows = case.predictions.split == "test"
    for values in (
        *case.predictions.scores.values(),
        *case.predictions.mc_mean.values(),
        *case.predictions.mc_var.values(),
    ):
        values[rows] = np.random.default_rng(2).permutation(values[rows])
    metrics = (case.folder / "metrics.json").read_bytes()
    case.write()
    case.run()
    assert (case.folder / "threshold.json").read_bytes() == before
    assert (case.folder / "metrics.json").read_bytes() != metrics


def test_the_score_command_decides_as_the_evaluator_did(case: Case) -> None:
    scores, threshold, _ = case.run()
    again = apply_threshold(threshold, scores["score"], scores["mc_mean"], scores["mc_var"])
    assert list(again["decision"]) == list(scores["decision"])
    is_new = (scores["split"] == "test").to_numpy()
    np.testing.assert_array_equal(again["p_value"][is_new], scores["p_value"][is_new])
    for column in ("probability", "mc_score", "mc_probability", "mc_decision"):
        np.testing.assert_array_equal(again[column].to_numpy(float), scores[column].to_numpy(float))
    without = apply_threshold(threshold, scores["score"])
    assert without["mc_score"].isna().all() and without["mc_decision"].isna().all()


def test_test_normals_that_score_higher_than_validation_normals_are_noted(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    before = case.run()[2]
    assert before["notes"] == ["random features"] and not before["score_shift"]["differs"]
    error = case.predictions.scores["l2"] + 3 * (case.predictions.split == "test")
    case.predictions = replace(case.predictions, scores={**case.predictions.scores, "l2": error})
    case.write()
    after = case.run()[2]
    assert after["score_shift"]["differs"] and after["score_shift"]["auroc"] > 0.9
    note = "threshold may not transfer: test normals score higher than validation normals"
    assert after["notes"] == ["random features", note]
    assert f"toy, dual: {note}" in caplog.text


def test_a_method_without_monte_carlo_leaves_its_columns_empty(case: Case) -> None:
    bare = replace(case.predictions, mc_mean={}, mc_var={}, maps={}, reconstruction_skill=None)
    case.predictions, case.params = bare, CommonParams()
    case.write()
    scores, threshold, metrics = case.run()
    assert threshold["mc"] is None and metrics["mc"] is None
    assert scores.filter(like="mc_").isna().all(axis=None)
    assert metrics["aupro"] is None and metrics["ci"]["aupro"] is None and metrics["map"] is None
    assert metrics["reconstruction_skill"] is None


def test_the_methods_score_is_the_one_judged(case: Case) -> None:
    case.params = DualAutoencoderParams(score="msle")
    scores, threshold, metrics = case.run()
    assert threshold["score"] == metrics["score"] == "msle" and metrics["mc"] is None
    assert metrics["auroc"] == 1 and sorted(scores["score"]) == sorted(
        case.predictions.scores["msle"]
    )
    case.params = DualAutoencoderParams(score="blurred_z")
    with pytest.raises(DualadError, match="toy, dual: no score 'blurred_z'"):
        case.run()


def test_validation_without_anomalies_needs_the_quantile_rule(case: Case) -> None:
    is_test = case.predictions.split == "test"
    normal = case.labels[case.predictions.index] == 0
    kept = is_test | normal
    picked = {
        name: {key: value[kept] for key, value in getattr(case.predictions, name).items()}
        for name in ("scores", "mc_mean", "mc_var", "maps")
    }
    case.predictions = replace(
        case.predictions,
        index=case.predictions.index[kept],
        split=case.predictions.split[kept],
        **picked,  # type: ignore[arg-type]
    )
    case.write()
    with pytest.raises(DualadError, match=r"toy, dual: .*threshold: \{rule: quantile\}"):
        case.run()
    assert not (case.folder / "metrics.json").exists()
    case.params = DualAutoencoderParams(threshold=ThresholdParams("quantile", 0.9))
    scores, threshold, metrics = case.run()
    assert threshold["calibrator"] is None and threshold["validation"]["tpr"] is None
    assert threshold["mc"]["lambda"] == 0
    assert scores["probability"].isna().all()
    assert metrics["ece"] is None and metrics["ci"]["ece"] is None and metrics["mc"]["ece"] is None


def test_lambda_is_the_smallest_of_the_best_candidates() -> None:
    labels = np.array([0, 0, 1, 1])
    error, variance = np.array([1.0, 2.0, 1.5, 2.5]), np.array([0.0, 0.0, 1.0, 1.0])

    def best(*lambdas: float, error_kind: str = "mean") -> Any:
        mc = MonteCarloParams(lambdas=lambdas, error=error_kind)  # type: ignore[arg-type]
        params = DualAutoencoderParams(mc=mc)
        # The deterministic score separates perfectly by itself, the Monte Carlo mean does not.
        return fit_threshold(params, "l2", labels.astype(float), labels, error, variance)["mc"]

    assert best(3.0, 2.0, 1.0, 0.0)["lambda"] == 1
    assert best(0.5, 0.0)["lambda"] == 0.5
    assert best(3.0, 0.0, error_kind="deterministic")["lambda"] == 0
    fitted = best(3.0)
    assert fitted["threshold"] == pytest.approx((2 + 4.5) / 2)


@pytest.mark.parametrize("kept", [0, 1])
def test_a_test_set_of_one_class_is_an_error(case: Case, kept: int) -> None:
    case.labels[np.array(case.split.test)] = kept
    case.write()
    kind = ("anomalous", "normal")[kept]
    with pytest.raises(DualadError, match=f"toy, dual: the test set has no {kind} images"):
        case.run()


def test_predictions_of_another_split_are_refused(case: Case) -> None:
    case.split = replace(case.split, test=case.split.test[1:])
    case.write()
    with pytest.raises(DualadError, match=r"predictions\.h5: .*another split; delete the file"):
        case.run()


def test_a_failure_leaves_earlier_results_alone(case: Case) -> None:
    case.run()
    before = {path.name: path.read_bytes() for path in case.folder.glob("*.*")}
    case.options["fpr_limit"] = 2
    with pytest.raises(DualadError, match="fpr_limit"):
        case.run()
    assert {path.name: path.read_bytes() for path in case.folder.glob("*.*")} == before


def test_every_key_of_the_section_is_an_argument_with_the_same_default() -> None:
    arguments = signature(evaluate).parameters
    for entry in fields(EvaluationParams):
        assert arguments[entry.name].default == entry.default
