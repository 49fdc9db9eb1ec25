"""The contract of all methods, through the jobs that fit and score them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from few_images import keep_few_training_images
from prepared import prepare_experiment
from sklearn.decomposition import PCA

from dualad.data.dataset import Dataset
from dualad.data.plan import Plan
from dualad.data.split import Split
from dualad.data.synthetic import KINDS, with_defects
from dualad.design.experiments import Method, resolve_methods
from dualad.design.parameters import PCAParams
from dualad.errors import DualadError
from dualad.evaluation.examples import LOCALISED, LOCALISED_ACROSS, spread_over_defects
from dualad.evaluation.predictions import read_predictions
from dualad.methods.base import Experiment, FitReport, Scored
from dualad.methods.controls import MeanImage, PrincipalComponents
from dualad.methods.jobs import (
    MOST_WITH_DEFECTS,
    ExperimentFiles,
    Job,
    detector_class,
    run_fit,
    run_score,
    run_search,
)
from dualad.runtime import Runtime

RUNTIME = Runtime(threads=2, cores=2)
METHODS = resolve_methods(
    {
        "dual": {"family": "dual_autoencoder"},
        "mean_image": {"family": "mean_image"},
        "pca": {"family": "pca", "components": 5},
        "pixel_std": {"family": "pixel_std"},
        "gradient": {"family": "gradient"},
        "brightness": {"family": "brightness"},
    },
    {
        "dual_autoencoder": {
            "encoder_widths": [8, 4],
            "decoder_widths": [6],
            "epochs": 2,
            "attempts": 2,
            "divergence_factor": 100,
            "search": {"trials": 2, "epochs": 1},
            "mc": {"samples": 3},
        }
    },
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small cached dataset with its plan and split."""
    folder = tmp_path_factory.mktemp("faces")
    prepare_experiment({"reader": "faces"}, folder, image_size=12)
    return folder


def fit(method: Method, folder: Path, out: Path) -> FitReport:
    """All stages up to the predictions, as the workflow runs them."""
    files = ExperimentFiles(folder / "dataset.h5", folder / "split.json", folder / "plan.json")
    job = Job(files, out, out / "work", RUNTIME)
    if method.tunes_dropout:
        run_search(method, job)
        files = replace(files, best_json=out / "search/best.json")
    run_fit(method, replace(job, files=files))
    run_score(method, files.dataset_h5, files.split_json, out, RUNTIME)
    return FitReport.read(out / "fit.json")


@pytest.mark.parametrize("name", ["dual", "mean_image"])
def test_validation_normals_are_scored_with_synthetic_defects(
    name: str, folder: Path, tmp_path: Path
) -> None:
    report = fit(METHODS[name], folder, tmp_path)
    predictions = read_predictions(tmp_path / "predictions.h5", "scores", "synthetic")
    split = Split.from_json(json.loads((folder / "split.json").read_text()))
    normals = set(report.validation) - set(split.validation_anomalous)
    synthetic = predictions.synthetic
    assert synthetic is not None and len(normals) <= MOST_WITH_DEFECTS
    assert set(synthetic.index) == normals and len(synthetic.index) == len(KINDS) * len(normals)
    detector = detector_class(METHODS[name].family, RUNTIME).load(tmp_path, METHODS[name].params)
    first = int(synthetic.index[0])
    with Dataset(folder / "dataset.h5") as dataset:
        defective = with_defects(dataset.images([first])[0], first, split.seed)
    for score, values in detector.score(defective).scores.items():
        np.testing.assert_allclose(synthetic.scores[score][: len(KINDS)], values, rtol=1e-5)
    costs = json.loads((tmp_path / "scoring.json").read_text())
    assert costs["images"] == len(predictions.index)


def test_methods_with_other_validation_images_share_the_defects_of_common_ones(
    folder: Path, tmp_path: Path
) -> None:
    other = resolve_methods({"mean_image": {"family": "mean_image", "seed": 42}})["mean_image"]
    found = []
    for number, method in enumerate((METHODS["mean_image"], other)):
        fit(method, folder, tmp_path / str(number))
        read = read_predictions(tmp_path / str(number) / "predictions.h5", "synthetic").synthetic
        assert read is not None
        found.append(list(dict.fromkeys(read.index.tolist())))
    common = set(found[0]) & set(found[1])
    assert 0 < len(common) < len(found[0])
    orders = [[index for index in indices if index in common] for indices in found]
    assert orders[0] == orders[1]


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_from_few_normal_images(
    name: str, n: int, folder: Path, tmp_path: Path
) -> None:
    shutil.copyfile(folder / "dataset.h5", tmp_path / "dataset.h5")
    keep_few_training_images(folder, tmp_path, n)
    fit(METHODS[name], tmp_path, tmp_path / name)
    predictions = read_predictions(tmp_path / name / "predictions.h5", "scores", "mc", "maps")
    for values in (*predictions.scores.values(), *predictions.maps.values()):
        assert np.isfinite(values).all()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_meets_the_contract(name: str, folder: Path, tmp_path: Path) -> None:
    method = METHODS[name]
    report = fit(method, folder, tmp_path)
    split = Split.from_json(json.loads((folder / "split.json").read_text()))
    predictions = read_predictions(tmp_path / "predictions.h5", "scores", "mc", "maps")
    expected = [*report.validation, *split.test]
    assert predictions.index.tolist() == expected
    assert not set(report.validation) & set(split.test)
    assert predictions.split.tolist() == ["val"] * len(report.validation) + ["test"] * len(
        split.test
    )
    scores = predictions.scores[predictions.default_score]
    assert scores.shape == (len(expected),) and np.isfinite(scores).all()
    for maps in predictions.maps.values():
        assert maps.shape == (len(expected), 12, 12)


def test_the_dual_familys_scores_agree_with_its_reconstructions(
    folder: Path, tmp_path: Path
) -> None:
    report = fit(METHODS["dual"], folder, tmp_path)
    predictions = read_predictions(
        tmp_path / "predictions.h5", "scores", "mc", "reconstruction", "saliency"
    )
    split = Split.from_json(json.loads((folder / "split.json").read_text()))
    with Dataset(folder / "dataset.h5") as dataset:
        images, table = dataset.images(predictions.index), dataset.table
    assert predictions.reconstruction is not None
    residual = (predictions.reconstruction.astype(np.float32) - images).reshape(len(images), -1)
    np.testing.assert_allclose(
        predictions.scores["l2"], np.linalg.norm(residual, axis=1), rtol=2e-3
    )
    assert set(predictions.scores) == {"l2", "msle", "standardised", "blurred_z"}
    assert set(predictions.mc_mean) == {"l2"}
    # Those that the figures of localisation show.
    saliency = predictions.saliency
    assert saliency is not None
    shown = [
        spread_over_defects(table.iloc[list(split.test)].rename(columns={"source": "image"}), count)
        for count in (LOCALISED, LOCALISED_ACROSS)
    ]
    expected = table["source"].iloc[predictions.index].isin(pd.concat(shown)["image"])
    np.testing.assert_array_equal(np.isfinite(saliency).all(axis=(1, 2)), expected)
    assert np.isnan(saliency[~expected]).all() and (saliency[expected] >= 0).all()
    assert report.n_parameters > 0 and report.selected_attempt in (1, 2)


def test_fitting_twice_gives_the_same_bits(folder: Path, tmp_path: Path) -> None:
    found = []
    for out in (tmp_path / "first", tmp_path / "second"):
        fit(METHODS["dual"], folder, out)
        found.append(read_predictions(out / "predictions.h5", "scores", "mc", "maps", "saliency"))
    first, second = (
        {**p.scores, **p.mc_mean, **p.maps, "var": p.mc_var["l2"], "saliency": p.saliency}
        for p in found
    )
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


@pytest.fixture
def experiment(folder: Path, tmp_path: Path) -> Experiment:
    return Experiment(
        Dataset(folder / "dataset.h5"),
        Split.from_json(json.loads((folder / "split.json").read_text())),
        Plan.from_json(json.loads((folder / "plan.json").read_text())),
        tmp_path,
    )


def training_images(experiment: Experiment) -> np.ndarray:
    train, _ = experiment.split.attempt(1, experiment.plan.seeds.numpy)
    return experiment.dataset.images(train)


def test_mean_image_is_the_distance_to_the_mean(experiment: Experiment) -> None:
    detector = MeanImage(METHODS["mean_image"].params)
    detector.fit(experiment)
    images = experiment.dataset.images(np.array([0, 70, 3]))
    expected = np.linalg.norm(
        (images - training_images(experiment).mean(axis=0)).reshape(3, -1), axis=1
    )
    np.testing.assert_allclose(detector.score(images).scores["mean_image"], expected, rtol=1e-5)


def test_pca_is_scikit_learns_reconstruction(experiment: Experiment) -> None:
    detector = PrincipalComponents(PCAParams(components=5))
    detector.fit(experiment)
    train = training_images(experiment)
    images = experiment.dataset.images(np.array([0, 70, 3])).reshape(3, -1)
    pca = PCA(5, svd_solver="full").fit(train.reshape(len(train), -1))
    expected = np.linalg.norm(images - pca.inverse_transform(pca.transform(images)), axis=1)
    found = detector.score(images.reshape(3, 12, 12)).scores["pca"]
    np.testing.assert_allclose(found, expected, rtol=0.02)


def test_pca_never_takes_so_many_components_that_it_learns_by_heart(
    experiment: Experiment,
) -> None:
    detector = PrincipalComponents(PCAParams(components=1000))
    detector.fit(experiment)
    assert len(detector.components_) == len(training_images(experiment)) - 1


@pytest.mark.parametrize(("name", "file"), [("pca", "model.npz"), ("dual", "model.keras")])
def test_a_damaged_model_is_named(name: str, file: str, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(DualadError, match=rf"{file}: cannot be read .* delete it and run"):
        detector_class(METHODS[name].family, RUNTIME).load(tmp_path, METHODS[name].params)


def test_tuned_dropout_needs_a_search(experiment: Experiment) -> None:
    small = {"family": "dual_autoencoder", "encoder_widths": [8, 4], "decoder_widths": [6]}
    params = resolve_methods({"m": small})["m"].params
    with pytest.raises(DualadError, match=r"dropout: tuned needs the search's best\.json"):
        detector_class("dual_autoencoder", RUNTIME)(params).fit(experiment)


def test_joining_keeps_order_and_absent_parts() -> None:
    parts = [Scored({"s": np.array([float(i)])}) for i in range(3)]
    joined = Scored.join(parts)
    assert joined.scores["s"].tolist() == [0.0, 1.0, 2.0]
    assert joined.reconstruction is None and not joined.maps
