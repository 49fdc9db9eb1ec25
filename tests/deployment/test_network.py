"""The network of a dual family gives the same in the formats of other programs."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from finished_methods import finish_methods, write_photographs

from dualad.cli import main
from dualad.data.dataset import Dataset
from dualad.deployment.network import export_network
from dualad.errors import DualadError
from dualad.network.model import load_model
from dualad.network.scores import SCORE_NAMES, ResidualStatistics, anomaly_map, image_score

HAS_ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "tf2onnx", "onnxruntime"))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = write_photographs(tmp_path_factory.mktemp("photographs"))
    return finish_methods(tmp_path_factory.mktemp("results"), images, ["dual", "pca"])


@pytest.fixture(scope="module")
def images(results: Path) -> np.ndarray:
    with Dataset(results / "dataset.h5") as dataset:
        return dataset.images(np.arange(dataset.n_images))


def assert_same(results: Path, images: np.ndarray, found: np.ndarray) -> None:
    """The same reconstructions, and the same scores of all four kinds."""
    model = load_model(results / "dual/model.keras")
    expected = model(images[..., None], training=False)[..., 0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    statistics = ResidualStatistics.load(results / "dual/residuals.npz")
    for name in SCORE_NAMES:
        one, other = (
            image_score(name, anomaly_map(name, images, outputs, statistics)).numpy()
            for outputs in (found, expected)
        )
        np.testing.assert_allclose(one, other, rtol=1e-4)


def test_a_saved_model_gives_the_same_scores(
    results: Path, images: np.ndarray, tmp_path: Path
) -> None:
    out = tmp_path / "network"
    arguments = ["export", str(results / "dual"), "-o", str(out), "--format", "savedmodel"]
    assert main(arguments) == 0
    loaded = tf.saved_model.load(str(out))
    assert_same(results, images, loaded.serve(images[..., None])[..., 0].numpy())
    with pytest.raises(DualadError, match="network: is there already"):
        export_network(results / "dual", out, "savedmodel")


@pytest.mark.filterwarnings("ignore")
def test_a_lite_model_gives_the_same_scores(
    results: Path, images: np.ndarray, tmp_path: Path
) -> None:
    export_network(results / "dual", tmp_path / "network.tflite", "tflite")
    interpreter = tf.lite.Interpreter(str(tmp_path / "network.tflite"))
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], [len(images), *images.shape[1:], 1])
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], images[..., None])
    interpreter.invoke()
    assert_same(results, images, interpreter.get_tensor(result["index"])[..., 0])


@pytest.mark.skipif(not HAS_ONNX, reason="onnx, tf2onnx or onnxruntime is not installed")
def test_an_onnx_model_gives_the_same_scores(
    results: Path, images: np.ndarray, tmp_path: Path
) -> None:
    import onnxruntime

    export_network(results / "dual", tmp_path / "network.onnx", "onnx")
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    (given,) = session.get_inputs()
    (found,) = session.run(None, {given.name: images[..., None]})
    assert_same(results, images, found[..., 0])


def test_a_missing_package_is_named(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DualadError, match=r"needs the packages onnx and tf2onnx"):
        export_network(results / "dual", tmp_path / "network.onnx", "onnx")


def test_what_has_no_network_is_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(DualadError, match="the family pca has no network to export alone"):
        export_network(results / "pca", tmp_path / "network.tflite", "tflite")
    with pytest.raises(DualadError, match=r"a name that ends in \.tflite"):
        export_network(results / "dual", tmp_path / "network", "tflite")
    assert list(tmp_path.iterdir()) == []
