"""Controls with a direction: which one they take, and that they say so."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from prepared import prepare_experiment

from dualad.arrays import write_arrays
from dualad.data.dataset import Dataset
from dualad.data.statistics import STATISTICS
from dualad.design.experiments import resolve_methods
from dualad.evaluation.evaluator import evaluate
from dualad.evaluation.predictions import read_predictions
from dualad.methods.base import FitReport
from dualad.methods.controls import PixelStd
from dualad.methods.jobs import ExperimentFiles, Job, run_fit, run_score
from dualad.runtime import Runtime
from dualad.scored_folder import score_folder

QUANTITIES = {"pixel_std": "contrast", "gradient": "gradient", "brightness": "brightness"}
METHODS = resolve_methods({name: {"family": name} for name in QUANTITIES})
RUNTIME = Runtime(threads=1, cores=1)


@pytest.fixture
def files(tmp_path: Path) -> ExperimentFiles:
    """A small dataset, its images replaced by noise that a test changes."""
    return prepare_experiment({"reader": "digits", "normal": [1]}, tmp_path, image_size=8)


def change_anomalies(files: ExperimentFiles, factor: float) -> None:
    """Random images around grey; in the anomalous ones each pixel is multiplied."""
    with h5py.File(files.dataset_h5, "r+") as file:
        labels = file["label"][:]
        pixels = np.random.default_rng(0).uniform(90, 110, file["images"].shape)
        pixels[labels == 1] *= factor
        file["images"][:] = pixels.astype(np.uint8)


def fit(name: str, files: ExperimentFiles, out: Path) -> FitReport:
    """Fit and score a control, as the workflow does."""
    run_fit(METHODS[name], Job(files, out, out / "work", RUNTIME))
    run_score(METHODS[name], files.dataset_h5, files.split_json, out, RUNTIME)
    return FitReport.read(out / "fit.json")


@pytest.mark.parametrize("name", QUANTITIES)
@pytest.mark.parametrize(("factor", "word"), [(0.5, "lower"), (2.0, "higher")])
def test_a_control_takes_the_direction_that_validation_prefers_and_says_so(
    files: ExperimentFiles, tmp_path: Path, name: str, factor: float, word: str
) -> None:
    change_anomalies(files, factor)
    report = fit(name, files, tmp_path / name)
    expected = f"{word} {QUANTITIES[name]} = anomalous (one bit, chosen on validation labels)"
    assert report.notes == [expected]
    predictions = read_predictions(tmp_path / name / "predictions.h5", "scores")
    with Dataset(files.dataset_h5) as dataset:
        values = STATISTICS[QUANTITIES[name]](dataset.images(predictions.index))
        labels = dataset.table["label"].to_numpy()[predictions.index]
    sign = 1 if word == "higher" else -1
    np.testing.assert_array_equal(predictions.scores[name], sign * values)
    assert predictions.scores[name][labels == 1].min() > predictions.scores[name][labels == 0].max()


def test_the_labels_of_test_images_do_not_choose_the_direction(
    files: ExperimentFiles, tmp_path: Path
) -> None:
    change_anomalies(files, 2.0)
    before = fit("brightness", files, tmp_path / "before")
    test = list(files.split.test)
    with h5py.File(files.dataset_h5, "r+") as file:
        labels = file["label"][:]
        labels[test] = 1 - labels[test]
        file["label"][:] = labels
    assert fit("brightness", files, tmp_path / "after").notes == before.notes


@pytest.mark.parametrize("name", QUANTITIES)
def test_without_validation_anomalies_the_distance_to_the_training_mean_counts(
    files: ExperimentFiles, tmp_path: Path, name: str
) -> None:
    change_anomalies(files, 2.0)
    split = replace(files.split, validation_anomalous=())
    files.split_json.write_text(json.dumps(split.to_json()))
    report = fit(name, files, tmp_path / name)
    assert "far from the training mean" in report.notes[0] and "no labels" in report.notes[0]
    train, _ = split.attempt(1, files.plan.seeds.numpy)
    predictions = read_predictions(tmp_path / name / "predictions.h5", "scores")
    with Dataset(files.dataset_h5) as dataset:
        statistic = STATISTICS[QUANTITIES[name]]
        centre = statistic(dataset.images(train)).mean()
        expected = np.abs(statistic(dataset.images(predictions.index)) - centre)
    np.testing.assert_allclose(predictions.scores[name], expected, rtol=1e-9, atol=1e-12)


def test_a_pixel_std_of_an_earlier_version_calls_flat_images_anomalous(tmp_path: Path) -> None:
    write_arrays(tmp_path / "model.npz", {})
    images = np.zeros((2, 4, 4), np.float32)
    images[1, :2] = 1
    detector = PixelStd.load(tmp_path, METHODS["pixel_std"].params)
    assert detector.score(images).scores["pixel_std"].tolist() == [0.0, -0.5]


@pytest.mark.parametrize("name", QUANTITIES)
def test_new_images_get_the_scores_of_the_workflow(
    files: ExperimentFiles, tmp_path: Path, name: str
) -> None:
    change_anomalies(files, 2.0)
    out = tmp_path / name
    fit(name, files, out)
    params = METHODS[name].params
    evaluate(files.dataset_h5, files.split_json, out / "predictions.h5", params, name, out)
    predictions = read_predictions(out / "predictions.h5", "scores")
    (tmp_path / "images").mkdir()
    with Dataset(files.dataset_h5) as dataset:
        pixels = np.round(255 * dataset.images(predictions.index[:3])).astype(np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"images/{i}.png")
    assert score_folder(out, tmp_path / "images", tmp_path / "scored", RUNTIME) == []
    rows = (tmp_path / "scored/scores.csv").read_text().splitlines()[1:]
    found = [float(row.split(",")[1]) for row in rows]
    np.testing.assert_allclose(found, predictions.scores[name][:3], rtol=1e-12)
