"""The dual encoder on pretrained features, with everything around it, from images to scores."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prepared import prepare_experiment
from stripes import SIZE, save_stripes, small_default_backbone

from dualad.data.cache import build_dataset
from dualad.data.dataset import Dataset
from dualad.design.experiments import Method, resolve_methods
from dualad.evaluation.predictions import read_predictions
from dualad.methods.adaptive import best_score
from dualad.methods.base import FitReport
from dualad.methods.jobs import ExperimentFiles, Job, detector_class, run_fit, run_score, run_search
from dualad.runtime import Runtime

RUNTIME = Runtime(threads=2, cores=2)
SCORES = {"standardised", "mahalanobis", "standardised_mean", "mahalanobis_mean"}


@pytest.fixture(scope="module", autouse=True)
def small_backbone() -> Iterator[None]:
    with small_default_backbone():
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFiles:
    folder = tmp_path_factory.mktemp("stripes")
    save_stripes(folder)
    source = {"reader": "mvtec", "path": str(folder / "images")}
    files = prepare_experiment(source, folder, image_size=SIZE)
    colour = folder / "colour.h5"
    build_dataset("data", source, colour, folder / "colour.json", image_size=SIZE, color=True)
    return replace(files, dataset_h5=colour)


def method(**changes: object) -> Method:
    entry = {
        "family": "dual_features",
        "weights": "random",
        "input_size": SIZE,
        "image_encoder_widths": [16, 4],
        "pixel_encoder_widths": [16, 4],
        "decoder_widths": [16],
        "learning_rate": 0.01,
        "locations": 4,
        "search": {"trials": 2, "epochs": 1, "max_dropout": 0.2},
        "epochs": 15,
        "attempts": 2,
        "mc": {"samples": 4},
        **changes,
    }
    return resolve_methods({"features": entry})["features"]


def run(chosen: Method, files: ExperimentFiles, out: Path) -> None:
    """Search, train and score, as the workflow does."""
    job = Job(files, out, out / "work", RUNTIME)
    run_search(chosen, job)
    run_fit(chosen, replace(job, files=replace(files, best_json=out / "search/best.json")))
    run_score(chosen, files.dataset_h5, files.split_json, out, RUNTIME, map_size=32)


@pytest.fixture(scope="module")
def fitted(files: ExperimentFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("features")
    run(method(), files, out)
    return out


def test_a_square_stands_out_and_everything_is_written(
    files: ExperimentFiles, fitted: Path
) -> None:
    predictions = read_predictions(fitted / "predictions.h5", "scores", "maps", "mc", "saliency")
    with Dataset(files.dataset_h5) as dataset:
        labels = dataset.table["label"].to_numpy()[predictions.index]
    assert set(predictions.scores) == SCORES
    for name in SCORES:
        scores = predictions.scores[name]
        assert scores[labels == 1].mean() > scores[labels == 0].mean(), name
    chosen = predictions.default_score
    assert predictions.maps[chosen].shape == (len(labels), 32, 32)
    assert predictions.saliency is not None
    assert predictions.saliency.shape == (len(labels), 32, 32)
    shown = np.isfinite(predictions.saliency).all(axis=(1, 2))
    assert 0 < shown.sum() <= 7 and labels[shown].all()
    assert predictions.saliency[shown].min() >= 0
    assert (predictions.mc_var[chosen] > 0).all()
    report = FitReport.read(fitted / "fit.json")
    # The images differ by noise alone, so nothing explains them better than their mean.
    assert report.reconstruction_skill is not None and -0.5 < report.reconstruction_skill < 1
    assert any("random features" in note for note in report.notes)
    names = {path.name for path in fitted.iterdir() if path.is_file()}
    assert {"backbone.keras", "model.keras", "residuals.npz", "attempts.csv"} <= names


def test_the_score_is_the_one_that_validation_prefers(files: ExperimentFiles, fitted: Path) -> None:
    from sklearn.metrics import roc_auc_score

    predictions = read_predictions(fitted / "predictions.h5", "scores")
    with Dataset(files.dataset_h5) as dataset:
        labels = dataset.table["label"].to_numpy()[predictions.index]
    val = predictions.split == "val"
    areas = {
        name: roc_auc_score(labels[val], scores[val]) for name, scores in predictions.scores.items()
    }
    # Features are kept in half precision for training only.
    assert areas[predictions.default_score] >= max(areas.values()) - 0.02
    named = detector_class("dual_features", RUNTIME).load(
        fitted, method(score="standardised").params
    )
    assert named.default_score == "standardised"


def test_an_images_score_does_not_depend_on_its_company(
    files: ExperimentFiles, fitted: Path
) -> None:
    detector = detector_class("dual_features", RUNTIME).load(fitted, method().params)
    with Dataset(files.dataset_h5) as dataset:
        images = dataset.images(range(5))
    together = detector.score(images).scores["mahalanobis"]
    alone = detector.score(images[3:4]).scores["mahalanobis"]
    np.testing.assert_allclose(alone, together[3:4], rtol=1e-4)


def test_a_second_run_gives_the_same_bits(
    files: ExperimentFiles, fitted: Path, tmp_path: Path
) -> None:
    run(method(), files, tmp_path)
    first, again = (
        read_predictions(folder / "predictions.h5", "scores", "mc") for folder in (fitted, tmp_path)
    )
    for name in SCORES:
        np.testing.assert_array_equal(first.scores[name], again.scores[name])
    for name, values in first.mc_mean.items():
        np.testing.assert_array_equal(values, again.mc_mean[name])


def test_a_bounded_memory_is_noted(files: ExperimentFiles, tmp_path: Path) -> None:
    chosen = method(max_images=20, dropout=0.1, attempts=1)
    run_fit(chosen, Job(files, tmp_path, tmp_path / "work", RUNTIME))
    notes = FitReport.read(tmp_path / "fit.json").notes
    assert any("development images left out of training" in note for note in notes)


def test_auto_takes_the_best_and_the_default_on_a_tie() -> None:
    labels = np.array([0, 0, 1, 1])
    good, bad = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.4, 0.3, 0.2, 0.1])
    assert best_score({"a": bad, "b": good}, labels, "a") == "b"
    assert best_score({"a": good, "b": good}, labels, "b") == "b"
    assert best_score({"a": bad, "b": good}, np.zeros(4, int), "a") == "a"
