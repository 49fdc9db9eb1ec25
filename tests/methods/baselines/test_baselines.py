"""The eleven baselines under the contract: a defect stands out, and every run is the same."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from few_images import keep_few_training_images
from prepared import prepare_experiment
from stripes import SIZE, save_stripes, small_default_backbone

from dualad.data.cache import build_dataset
from dualad.data.dataset import Dataset
from dualad.design.experiments import resolve_methods
from dualad.design.families import FAMILIES
from dualad.errors import DualadError
from dualad.evaluation.predictions import Predictions, read_predictions
from dualad.methods.base import FitReport
from dualad.methods.jobs import ExperimentFiles, Job, detector_class, run_baseline
from dualad.runtime import Runtime

RUNTIME = Runtime(threads=2, cores=2)
SMALL = {
    "padim": {"channels": 20},
    "patchcore": {"max_patches": 1000},
    "simplenet": {
        "steps": 60,
        "batch_size": 256,
        "hidden": 64,
        "learning_rate": 2e-3,
        "adaptor_learning_rate": 1e-3,
    },
    "cflow": {"steps": 30, "blocks": 1, "code": 8, "batch_size": 64},
    "cs_flow": {"epochs": 8, "hidden": 16, "kernels": [3], "batch_size": 4, "learning_rate": 1e-3},
    "mgad": {"components": 3},
    "cutpaste": {"steps": 10, "batch_size": 8, "head": 16},
    "adpr": {"epochs": 6, "widths": [8, 16], "batch_size": 8},
    "citn": {"epochs": 15, "widths": [8, 16], "batch_size": 8, "instances": 1},
    "utrad": {"epochs": 6, "grid": 16, "width": 32, "bottleneck": 8, "learning_rate": 2e-3},
    "mpde": {"encoder_widths": [32, 8], "decoder_widths": [32], "epochs": 30},
}


# With random features and so little training, these still point at the square.
LOCALISING = {"padim", "patchcore", "mgad", "adpr", "citn", "mpde"}


def entry(family: str) -> dict[str, object]:
    """The family with tiny parameters; random features where it has a backbone."""
    params = FAMILIES[family].params()
    values: dict[str, object] = {"family": family, **SMALL[family]}
    if hasattr(params, "weights"):
        values["weights"] = "random"
    if hasattr(params, "input_size"):
        values["input_size"] = SIZE
    return values


METHODS = resolve_methods({family: entry(family) for family in SMALL})


@pytest.fixture(scope="module", autouse=True)
def small_backbone() -> Iterator[None]:
    with small_default_backbone():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stripes")
    save_stripes(folder)
    source = {"reader": "mvtec", "path": str(folder / "images")}
    prepare_experiment(source, folder, image_size=32)
    build_dataset(
        "stripes",
        source,
        folder / "colour.h5",
        folder / "colour.json",
        image_size=SIZE,
        color=True,
    )
    return folder


def run(family: str, folder: Path, out: Path) -> Predictions:
    """Fit and score, as the workflow does."""
    method = METHODS[family]
    images = folder / ("colour.h5" if method.input_size else "dataset.h5")
    files = ExperimentFiles(images, folder / "split.json", folder / "plan.json")
    run_baseline(method, Job(files, out, out / "work", RUNTIME), map_size=32)
    return read_predictions(out / "predictions.h5", "scores", "maps")


@pytest.fixture(scope="module", params=list(SMALL))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def fitted(family: str, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a family's model and predictions are, fitted once for all tests."""
    out = tmp_path_factory.mktemp(family)
    run(family, folder, out)
    return out


def test_a_square_on_stripes_stands_out(family: str, folder: Path, fitted: Path) -> None:
    predictions = read_predictions(fitted / "predictions.h5", "scores", "maps")
    assert sorted(path.name for path in fitted.iterdir() if path.is_file()) == sorted(
        [*FAMILIES[family].model_files, "fit.json", "predictions.h5", "scoring.json"]
    )
    with Dataset(folder / "dataset.h5") as dataset:
        labels = dataset.table["label"].to_numpy()[predictions.index]
        masks = dataset.masks(predictions.index[labels == 1])
    scores = predictions.scores[family]
    assert np.isfinite(scores).all()
    assert scores[labels == 1].mean() > scores[labels == 0].mean()
    if family == "cutpaste":
        assert not predictions.maps
        return
    maps = predictions.maps[family]
    assert maps.shape == (len(labels), 32, 32) and maps.min() >= -1e-5
    if family in LOCALISING:
        pairs = list(zip(maps[labels == 1], masks, strict=True))
        inside = np.mean([scores[mask].mean() for scores, mask in pairs])
        assert inside > np.mean([scores[~mask].mean() for scores, mask in pairs])


def test_an_images_score_does_not_depend_on_its_company(
    family: str, folder: Path, fitted: Path
) -> None:
    method = METHODS[family]
    detector = detector_class(family, RUNTIME).load(fitted, method.params)
    with Dataset(folder / ("colour.h5" if method.input_size else "dataset.h5")) as dataset:
        images = dataset.images(range(5))
    together = detector.score(images).scores[family]
    alone = detector.score(images[3:4]).scores[family]
    np.testing.assert_allclose(alone, together[3:4], rtol=1e-5)


def test_a_second_run_gives_the_same_bits(
    family: str, folder: Path, fitted: Path, tmp_path: Path
) -> None:
    again = run(family, folder, tmp_path)
    first = read_predictions(fitted / "predictions.h5", "scores")
    np.testing.assert_array_equal(first.scores[family], again.scores[family])


def test_notes_and_costs_are_recorded(family: str, fitted: Path) -> None:
    report = FitReport.read(fitted / "fit.json")
    assert ("interpretation" in report.notes) == FAMILIES[family].interpretation
    needs_features = hasattr(METHODS[family].params, "weights")
    assert any("random features" in note for note in report.notes) == needs_features
    if family == "patchcore":
        assert any(note.startswith("1000 of ") for note in report.notes)
    cost = json.loads((fitted / "scoring.json").read_text())
    assert cost["images"] > 0 and cost["seconds"] > 0 and cost["peak_memory_mb"] > 0


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("name", SMALL)
def test_every_baseline_learns_from_few_normal_images(
    name: str, n: int, folder: Path, tmp_path: Path
) -> None:
    method = METHODS[name]
    images = folder / ("colour.h5" if method.input_size else "dataset.h5")
    files = ExperimentFiles(images, *keep_few_training_images(folder, tmp_path, n))
    out = tmp_path / name
    job = Job(files, out, out / "work", RUNTIME)
    if n < detector_class(name, RUNTIME).least_training_images:
        message = f"the method '{name}' needs at least 2 normal images.* leaves 1; add"
        with pytest.raises(DualadError, match=message):
            run_baseline(method, job, map_size=32)
        return
    run_baseline(method, job, map_size=32)
    predictions = read_predictions(out / "predictions.h5", "scores", "maps")
    scores = predictions.scores[name]
    assert np.isfinite(scores).all() and len(np.unique(scores)) > len(scores) / 2
    for maps in predictions.maps.values():
        assert np.isfinite(maps).all()
