"""`load_detector`: the numbers of `dualad score`, from Python."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow_setup  # noqa: F401
from finished_methods import finish_methods, write_photographs
from PIL import Image

import dualad
from dualad import LoadedDetector, load_detector
from dualad.data.images import load_image
from dualad.deployment.export import export_detector
from dualad.errors import DualadError
from dualad.runtime import Runtime
from dualad.scored_folder import score_folder

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photographs(tmp_path_factory.mktemp("photographs"), n_train=60)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    folder = tmp_path_factory.mktemp("results") / "parts"
    folder.mkdir()
    return finish_methods(folder, images, ["dual", "pca", "red"])


@pytest.fixture(scope="module")
def detector(results: Path) -> LoadedDetector:
    return load_detector(results / "dual")


@pytest.mark.parametrize("exported", [False, True])
def test_the_numbers_are_those_of_the_command(
    exported: bool, results: Path, images: Path, tmp_path: Path
) -> None:
    path = results / "dual"
    if exported:
        export_detector(path, path := tmp_path / "parts.dualad")
    score_folder(results / "dual", images, tmp_path / "out", Runtime(), overlays=False)
    expected = pd.read_csv(tmp_path / "out/scores.csv", keep_default_na=False)
    loaded = load_detector(path)
    # Monte Carlo dropout included, whatever was scored before.
    for _ in range(2):
        found = loaded.score(images)
        found.to_csv(tmp_path / "found.csv", index=False)
        assert (tmp_path / "found.csv").read_bytes() == (tmp_path / "out/scores.csv").read_bytes()
    assert list(found.columns) == list(expected.columns)
    assert found["decision"].dtype == np.int64


def test_arrays_score_as_their_files_do(detector: LoadedDetector, images: Path) -> None:
    files = sorted((images / "test").rglob("*.png"))
    arrays = np.stack([np.asarray(Image.open(file)) for file in files])
    by_file, by_array = detector.score(files), detector.score(arrays)
    assert by_array["image"].tolist() == [str(i) for i in range(len(files))]
    columns = [name for name in by_file if name != "image"]
    pd.testing.assert_frame_equal(by_file[columns], by_array[columns], check_exact=True)
    pd.testing.assert_frame_equal(detector.score(list(arrays)), by_array)


def test_heatmaps_are_on_one_scale_whose_middle_is_the_cutoff(
    detector: LoadedDetector, results: Path, images: Path
) -> None:
    heat = detector.heatmaps(images)
    side = detector.fitted.report.image_size
    assert heat.shape == (80, side, side) and heat.dtype == np.float32
    assert heat.min() >= 0 and heat.max() <= 1
    dark = detector.heatmaps(images / "test/dark")
    good = detector.heatmaps(images / "test/good")
    assert dark.mean() > good.mean()
    # Of the validation normals' pixels, 1 % lie above the middle.
    normal = [name for name in detector.score(images)["image"] if "good" in name]
    assert 0 < np.mean(detector.heatmaps([images / name for name in normal]) > 0.5) < 0.1


def test_a_coarse_map_is_brought_to_the_size_of_the_images(results: Path, images: Path) -> None:
    assert load_detector(results / "red").heatmaps(images / "test/good").shape == (10, 30, 30)


def test_an_image_that_cannot_be_read_is_named(detector: LoadedDetector, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DualadError, match=r"image a\.png: not an image"):
        detector.score(tmp_path)
    with pytest.raises(DualadError, match=r"image 1: floating-point values from 0 to 2"):
        detector.score([np.zeros((5, 5)), np.eye(5) * 2])
    with pytest.raises(DualadError, match="give the share of anomalies"):
        detector.score(np.zeros((1, 5, 5)), base_rate=1.5)


def test_darker_images_are_said_to_be_unlike_the_normal_ones(
    detector: LoadedDetector,
    results: Path,
    images: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    normals = images / "test/good"
    assert detector.drift(normals)["warning"] == ""
    for number, file in enumerate([*normals.glob("*.png"), *(images / "train/good").glob("*")]):
        dark = np.asarray(Image.open(file)) // 3
        Image.fromarray(dark.astype(np.uint8)).save(tmp_path / f"{number}.png")
    with caplog.at_level("WARNING"):
        score_folder(results / "pca", tmp_path, tmp_path / "out", Runtime(), overlays=False)
    assert "the new images as a whole are" in caplog.text and "darker (AUROC" in caplog.text
    assert "as a whole" in (tmp_path / "out/drift.json").read_text()


def test_a_detector_without_its_dataset_compares_scores_alone(
    results: Path, images: Path, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(results / "pca", tmp_path / "elsewhere/pca")
    moved = load_detector(tmp_path / "elsewhere/pca").drift(images / "test/good")
    assert [test["statistic"] for test in moved["tests"]] == ["score"]
    whole = load_detector(results / "pca").drift(images / "test/good")
    assert len(whole["tests"]) == 5


def test_a_method_without_a_network_does_without_tensorflow(results: Path, images: Path) -> None:
    code = (
        "import sys\n"
        "from dualad import load_detector\n"
        f"detector = load_detector({str(results / 'pca')!r})\n"
        f"detector.score({str(images / 'test/good')!r})\n"
        "for name in ('tensorflow', 'keras', 'sklearn', 'matplotlib'):\n"
        "    assert name not in sys.modules, name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_process_that_has_tensorflow_keeps_its_settings(results: Path, images: Path) -> None:
    code = (
        "import tensorflow as tf\n"
        "tf.config.threading.set_intra_op_parallelism_threads(1)\n"
        "tf.constant(1.0) + 1\n"
        "from dualad import load_detector\n"
        f"detector = load_detector({str(results / 'dual')!r}, threads=3)\n"
        f"assert len(detector.score({str(images / 'test/good')!r})) == 10\n"
        "assert tf.config.threading.get_intra_op_parallelism_threads() == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import dualad, sys; assert 'numpy' not in sys.modules; dualad.load_detector"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dualad.nothing  # type: ignore[attr-defined]


def test_the_example_of_the_documentation_runs(
    results: Path,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (ROOT / "docs/python.md").read_text()
    (tmp_path / "results").mkdir()
    (tmp_path / "results/parts").symlink_to(results)
    (tmp_path / "results/parts/recommended.json").unlink(missing_ok=True)
    (tmp_path / "new_images").symlink_to(images / "test/good")
    export_detector(results / "dual", tmp_path / "parts.dualad")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) >= 3
    for block in blocks:
        exec(block, names)
    assert load_image is not None and capsys.readouterr().out
