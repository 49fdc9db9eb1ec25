"""Methods that learn from the labels of validation images, from the fit to new images."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image
from prepared import prepare_experiment
from sklearn.metrics import roc_auc_score

from dualad.data.dataset import Dataset
from dualad.data.split import Split
from dualad.design.experiments import resolve_methods
from dualad.errors import DualadError
from dualad.evaluation.evaluator import evaluate
from dualad.evaluation.predictions import Predictions, read_predictions
from dualad.methods.base import Experiment, FitReport
from dualad.methods.dual_hybrid import DualHybrid, image_statistics
from dualad.methods.jobs import ExperimentFiles, Job, detector_class, run_baseline, run_fit
from dualad.runtime import Runtime
from dualad.scored_folder import score_folder

RUNTIME = Runtime(threads=2, cores=2)
METHODS = resolve_methods(
    {
        "dual_plus": {
            "family": "dual_autoencoder",
            "encoder_widths": [32, 8],
            "decoder_widths": [32],
            "dropout": 0.0,
            "centering": True,
            "epochs": 10,
            "attempts": 1,
            "divergence_factor": 100,
        },
        "dual_hybrid": {"family": "dual_hybrid", "folds": 3, "penalties": [10, 1]},
        "pixels_supervised": {"family": "pixels_supervised", "folds": 3, "penalties": [10, 1]},
    }
)
NAMES = ("dual_hybrid", "pixels_supervised")


def job(folder: Path, out: Path, split_json: Path | None = None) -> Job:
    files = ExperimentFiles(
        folder / "dataset.h5",
        split_json or folder / "split.json",
        folder / "plan.json",
        network=folder / "dual_plus",
    )
    return Job(files, out, out / "work", RUNTIME)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with 24 labelled anomalies in validation, and the network of `dual_plus`."""
    folder = tmp_path_factory.mktemp("digits")
    entry = {"reader": "digits", "normal": [1], "anomalies_per_class": 14}
    files = prepare_experiment(entry, folder, image_size=12)
    assert len(files.split.validation_anomalous) >= 20
    run_fit(METHODS["dual_plus"], Job(files, folder / "dual_plus", folder / "work", RUNTIME))
    return folder


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def fitted(name: str, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp(name)
    run_baseline(METHODS[name], job(folder, out), map_size=12)
    return out


def predictions_of(fitted: Path) -> Predictions:
    return read_predictions(fitted / "predictions.h5", "scores", "maps")


def labels_of(folder: Path, index: Sequence[int]) -> npt.NDArray[np.int64]:
    with Dataset(folder / "dataset.h5") as dataset:
        labels: npt.NDArray[np.int64] = dataset.table["label"].to_numpy()[np.asarray(index)]
        return labels


def test_it_finds_what_its_labels_show_and_says_so(name: str, folder: Path, fitted: Path) -> None:
    predictions = predictions_of(fitted)
    test = predictions.split == "test"
    labels = labels_of(folder, predictions.index[test].tolist())
    assert roc_auc_score(labels, predictions.scores[name][test]) > 0.95
    report = FitReport.read(fitted / "fit.json")
    assert predictions.notes == ("semi-supervised",) == tuple(report.notes)
    trained = FitReport.read(folder / "dual_plus" / "fit.json")
    if name == "dual_hybrid":
        assert report.validation == trained.validation
        assert report.reconstruction_skill == trained.reconstruction_skill
        # Four scores, seven statistics, two codes of eight units, and the bias.
        assert report.n_parameters == trained.n_parameters + 4 + 7 + 2 * 8 + 1
        assert report.seconds > trained.seconds
    else:
        components = min(64, len(Split.from_json(read(folder / "split.json")).train) - 1)
        assert report.n_parameters == 12 * 12 * (components + 1) + components + 1


def read(path: Path) -> dict[str, object]:
    values: dict[str, object] = json.loads(path.read_text())
    return values


def test_validation_images_have_out_of_fold_scores_and_test_images_the_models(
    name: str, folder: Path, fitted: Path
) -> None:
    predictions = predictions_of(fitted)
    detector = detector_class(name, RUNTIME).load(fitted, METHODS[name].params)
    with Dataset(folder / "dataset.h5") as dataset:
        scores = detector.score(dataset.images(predictions.index)).scores[name]
    found = predictions.scores[name]
    validation = predictions.split == "val"
    assert set(detector.held_out) == set(predictions.index[validation].tolist())
    held_out = [detector.held_out[row] for row in predictions.index[validation].tolist()]
    np.testing.assert_array_equal(found[validation], held_out)
    np.testing.assert_allclose(found[~validation], scores[~validation], rtol=1e-5)
    assert np.all(found[validation] != scores[validation])
    # What saw an image's label is surer of it.
    signs = 2 * labels_of(folder, predictions.index[validation].tolist()) - 1
    assert np.mean(signs * scores[validation]) > np.mean(signs * found[validation])


def test_maps_are_those_of_the_network(folder: Path, fitted: Path, name: str) -> None:
    maps = predictions_of(fitted).maps
    if name == "pixels_supervised":
        assert not maps
        return
    params = replace(METHODS["dual_plus"].params, score="blurred_z")  # type: ignore[call-arg]
    network = detector_class("dual_autoencoder", RUNTIME).load(folder / "dual_plus", params)
    with Dataset(folder / "dataset.h5") as dataset:
        images = dataset.images(predictions_of(fitted).index[:5])
    np.testing.assert_allclose(maps[name][:5], network.score(images).maps["blurred_z"], rtol=1e-5)


def test_a_second_run_gives_the_same_bits(
    name: str, folder: Path, fitted: Path, tmp_path: Path
) -> None:
    run_baseline(METHODS[name], job(folder, tmp_path), map_size=12)
    again = predictions_of(tmp_path)
    np.testing.assert_array_equal(again.scores[name], predictions_of(fitted).scores[name])


def test_no_test_image_is_read_by_the_fit(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = set(Split.from_json(read(folder / "split.json")).test)
    seen: set[int] = set()
    load = Dataset.images

    def watched(self: Dataset, indices: Sequence[int]) -> npt.NDArray[np.float32]:
        seen.update(int(row) for row in indices)
        return load(self, indices)

    monkeypatch.setattr(Dataset, "images", watched)
    run_fit(METHODS[name], job(folder, tmp_path))
    assert seen and not seen & test


@pytest.mark.parametrize(("n", "outcome"), [(9, "refused"), (10, "noted")])
def test_few_labelled_anomalies_are_refused_or_noted(
    n: int, outcome: str, name: str, folder: Path, tmp_path: Path
) -> None:
    split = Split.from_json(read(folder / "split.json"))
    few = replace(split, validation_anomalous=split.validation_anomalous[:n])
    (tmp_path / "split.json").write_text(json.dumps(few.to_json()))
    # The network's own validation images are named in its report.
    network = tmp_path / "network"
    network.mkdir()
    for file in ("model.keras", "residuals.npz"):
        (network / file).symlink_to(folder / "dual_plus" / file)
    trained = FitReport.read(folder / "dual_plus" / "fit.json")
    kept = set(split.validation_anomalous[n:])
    validation = [row for row in trained.validation if row not in kept]
    replace(trained, validation=validation).write(network / "fit.json")
    work = job(folder, tmp_path / "out", tmp_path / "split.json")
    work = replace(work, files=replace(work.files, network=network))
    if outcome == "refused":
        message = r"data: .* at least 10 normal and 10 anomalous .* and 9; add .* `datasets`"
        with pytest.raises(DualadError, match=message):
            run_fit(METHODS[name], work)
        assert not (tmp_path / "out" / "fit.json").exists()
        return
    run_fit(METHODS[name], work)
    assert FitReport.read(tmp_path / "out" / "fit.json").notes == [
        "semi-supervised",
        "learnt from 10 anomalous images only; below 20, labels may do harm",
    ]


def test_new_images_are_scored(name: str, folder: Path, fitted: Path, tmp_path: Path) -> None:
    evaluate(
        folder / "dataset.h5",
        folder / "split.json",
        fitted / "predictions.h5",
        METHODS[name].params,
        name,
        fitted,
        bootstrap=0,
    )
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    predictions = predictions_of(fitted)
    chosen = np.flatnonzero(predictions.split == "test")[:6]
    with Dataset(folder / "dataset.h5") as dataset:
        for row, image in zip(chosen, dataset.images(predictions.index[chosen]), strict=True):
            Image.fromarray(np.round(255 * image).astype(np.uint8)).save(images / f"{row:04}.png")
    assert score_folder(fitted, images, out, RUNTIME) == []
    found = pd.read_csv(out / "scores.csv")
    np.testing.assert_allclose(found["score"], predictions.scores[name][chosen], atol=0.1)
    assert (out / "overlays").exists() == (name == "dual_hybrid")
    assert json.loads((fitted / "metrics.json").read_text())["notes"] == ["semi-supervised"]


def test_a_hybrid_without_a_network_is_refused(folder: Path, tmp_path: Path) -> None:
    files = job(folder, tmp_path).files
    with Dataset(files.dataset_h5) as dataset:
        alone = Experiment(dataset, files.split, files.plan, tmp_path)
        with pytest.raises(DualadError, match="needs the folder of a fitted method"):
            DualHybrid(METHODS["dual_hybrid"].params).fit(alone)


def test_statistics_of_an_image_are_those_of_a_hand_calculation() -> None:
    ramp = np.tile(np.arange(5, dtype=np.float32) / 10, (5, 1))
    dot = np.zeros((5, 5), np.float32)
    dot[2, 2] = 1
    found = image_statistics(np.stack([ramp, dot]))
    np.testing.assert_allclose(found[0], [0.2, np.sqrt(0.02), 0, 0.2, 0.4, 0.05, 0], atol=1e-7)
    # Two of 20 differences each way, and the Laplacian of the dot and of its four neighbours.
    np.testing.assert_allclose(found[1], [0.04, np.sqrt(0.0384), 0, 0, 0, 0.1, 8 / 9], atol=1e-7)
