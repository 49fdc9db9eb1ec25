"""`dualad score`: a results folder and a folder of new images in, a CSV and overlays out."""

import csv
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow_setup  # noqa: F401
from PIL import Image

from dualad.cli import main
from dualad.data.cache import build_dataset
from dualad.data.dataset import Dataset
from dualad.data.preparation import prepare
from dualad.design.experiments import resolve_methods
from dualad.detector import score_folder
from dualad.evaluation.evaluator import evaluate
from dualad.methods.controls import PrincipalComponents
from dualad.methods.jobs import ExperimentFiles, Job, run_fit, run_score
from dualad.runtime import Runtime

# Sees colour at a size of its own, a few images at a time, and has coarse maps.
RED = """
import numpy as np
from dualad.methods.base import Detector, FitReport, Scored

class Red(Detector):
    family = "red"
    def fit(self, experiment):
        split = experiment.split
        return FitReport("red", 0, [*split.validation_normal, *split.validation_anomalous])
    def score(self, images):
        assert images.shape[1:] == (30, 30, 3)
        red = images[..., 0].reshape(-1, 5, 6, 5, 6).mean(axis=(2, 4))
        return Scored({"red": red.mean(axis=(1, 2))}, {"red": red})
    def save(self, folder):
        (folder / "model.npz").write_bytes(b"")
    @classmethod
    def load(cls, folder, params):
        return cls(params)
"""
MODULE = Path(tempfile.mkdtemp()) / "red.py"
METHODS = resolve_methods(
    {
        "dual": {
            "family": "dual_autoencoder",
            "encoder_widths": [8, 4],
            "decoder_widths": [6],
            "dropout": 0.1,
            "epochs": 2,
            "attempts": 1,
            "divergence_factor": 100,
            "mc": {"samples": 3},
        },
        "pca": {"family": "pca", "components": 5},
        "red": {
            "family": "external",
            "module": str(MODULE),
            "class_name": "Red",
            "input_size": 30,
        },
    }
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs in folders, as someone's own data."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for part, count, shade in (
        ("train/good", 24, 100),
        ("test/good", 10, 100),
        ("test/dark", 10, 30),
    ):
        (folder / part).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(shade, shade + 60, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / part / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    folder = tmp_path_factory.mktemp("results")
    h5, plan, split = (folder / name for name in ("dataset.h5", "plan.json", "split.json"))
    entry = {"reader": "folder", "path": str(images)}
    build_dataset("own", entry, h5, folder / "dataset.json", image_size=12)
    colour = folder / "colour30.h5"
    build_dataset("own", entry, colour, folder / "colour30.json", image_size=30, color=True)
    MODULE.write_text(RED)
    prepare(h5, folder / "dataset.json", plan_json=plan, split_json=split)
    for name, method in METHODS.items():
        out = folder / name
        seen = colour if method.input_size else h5
        runtime = Runtime()
        run_fit(method, Job(ExperimentFiles(seen, split, plan), out, out / "work", runtime))
        run_score(method, seen, split, out, runtime, map_size=12)
        evaluate(
            h5,
            split,
            out / "predictions.h5",
            method.params,
            name,
            scores_csv=out / "scores.csv",
            threshold_json=out / "threshold.json",
            metrics_json=out / "metrics.json",
            bootstrap=10,
        )
    return folder


@pytest.mark.parametrize("name", METHODS)
def test_the_test_images_score_as_in_the_results(
    name: str, images: Path, results: Path, tmp_path: Path
) -> None:
    assert main(["score", str(results / name), str(images), "--out", str(tmp_path)]) == 0
    found = pd.read_csv(tmp_path / "scores.csv").set_index("image")
    expected = pd.read_csv(results / name / "scores.csv").set_index("image")
    found = found.loc[expected.index]
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-5)
    np.testing.assert_allclose(found["probability"], expected["probability"], rtol=1e-4)
    assert found["decision"].tolist() == expected["decision"].tolist()
    overlays = [Image.open(path) for path in (tmp_path / "overlays").rglob("*.png")]
    with Dataset(results / "dataset.h5") as dataset:
        assert len(overlays) == dataset.n_images
    # Whole multiples of the images' sides, 12 and 30 pixels.
    assert {image.size for image in overlays} == {(270, 270) if name == "red" else (264, 264)}
    assert found["uncertainty"].notna().all() == (name == "dual")


def test_unreadable_images_are_listed_and_the_rest_is_scored(
    results: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new"
    (new / "sub").mkdir(parents=True)
    good = (images / "test/good/0.png").read_bytes()
    (new / "sub" / "fine.png").write_bytes(good)
    (new / "cut.png").write_bytes(good[:60])
    (new / "empty.png").write_bytes(b"")
    (new / ".hidden").write_text("not an image")
    out = tmp_path / "out"
    assert main(["score", str(results / "pca"), str(new), "--out", str(out), "--no-overlays"]) == 1
    assert "2 of the files could not be read" in capsys.readouterr().err
    assert pd.read_csv(out / "scores.csv")["image"].tolist() == ["sub/fine.png"]
    with (out / "unreadable.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["cut.png", "empty.png"]
    assert all(row["image"] in row["reason"] for row in rows)
    assert not (out / "overlays").exists()


def test_batches_are_as_large_as_the_method_asks_for(
    results: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = score_folder(results / "pca", images, tmp_path / "whole", Runtime(), overlays=False)
    sizes: list[int] = []
    score = PrincipalComponents.score
    monkeypatch.setattr(PrincipalComponents, "scoring_batch", 30)
    monkeypatch.setattr(
        PrincipalComponents,
        "score",
        lambda self, batch: (sizes.append(len(batch)), score(self, batch))[1],
    )
    assert found == score_folder(results / "pca", images, tmp_path / "parts", Runtime(), False)
    assert sizes == [30, 14]
    # Products of matrices of another height may round otherwise.
    whole, parts = (pd.read_csv(tmp_path / name / "scores.csv") for name in ("whole", "parts"))
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-6)


def test_an_overlay_is_hot_where_the_image_is_anomalous(results: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    pixels = np.full((30, 30, 3), 90, dtype=np.uint8)
    pixels[:12, :12, 0] = 200
    Image.fromarray(pixels).save(new / "corner.png")
    assert main(["score", str(results / "red"), str(new), "--out", str(tmp_path)]) == 0
    picture = np.asarray(Image.open(tmp_path / "overlays/corner.png.png")).astype(int)
    assert picture[20, 20].sum() > picture[200, 200].sum() + 100
    # Where nothing is wrong the image shows in its own colours.
    np.testing.assert_allclose(picture[250, 250], 90, atol=2)


def test_what_an_earlier_call_wrote_is_not_scored(
    results: Path, images: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    (new / "a.png").write_bytes((images / "test/good/0.png").read_bytes())
    (new / "Thumbs.db").write_bytes(b"left by a file manager")
    # A name that is not UTF-8, as old archives have.
    (new / os.fsdecode(b"b\xff.png")).write_bytes((images / "test/good/1.png").read_bytes())
    for _ in range(2):
        arguments = [str(results / "pca"), str(new), "--out", str(new / "scored")]
        assert main(["score", *arguments]) == 0
        assert len(list((new / "scored/overlays").iterdir())) == 2
        text = (new / "scored/scores.csv").read_bytes()
        assert [line.split(b",")[0] for line in text.splitlines()] == [
            b"image",
            b"a.png",
            b"b\xff.png",
        ]


@pytest.mark.parametrize("file", ["fit.json", "threshold.json"])
def test_damaged_results_are_named(
    results: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    shutil.copytree(results / "pca", tmp_path / "pca")
    (tmp_path / "pca" / file).write_text('{"family": ')
    assert main(["score", str(tmp_path / "pca"), str(images), "--out", str(tmp_path / "o")]) == 1
    assert f"{file}: cannot be read" in capsys.readouterr().err


def test_mistakes_name_the_folder(
    results: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(results), str(images), "--out", str(tmp_path)]) == 1
    assert "no fit.json; name the results folder of one method" in capsys.readouterr().err
    assert main(["score", str(results / "pca"), str(tmp_path / "absent")]) == 1
    assert "absent: no such folder of images" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert (
        main(["score", str(results / "pca"), str(tmp_path / "empty"), "--out", str(tmp_path)]) == 1
    )
    assert "none of 0 files is a readable image" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    arguments = [str(results / "pca"), str(images), "--out", str(tmp_path / "file")]
    assert main(["score", *arguments]) == 1
    assert "file: cannot be written (File exists)" in capsys.readouterr().err
    before = (results / "pca/scores.csv").read_bytes()
    assert main(["score", *arguments[:2], "--out", str(results / "pca")]) == 1
    assert "pca: holds the results of a fitted method" in capsys.readouterr().err
    assert (results / "pca/scores.csv").read_bytes() == before
    for option in ("--threads", "--gpu-memory-mb"):
        with pytest.raises(SystemExit):
            main(["score", *arguments, option, "0"])
        assert f"{option}: 0 is not a whole number above 0" in capsys.readouterr().err


def test_new_images_of_more_than_8_bits_are_shown_by_the_range_of_training(
    results: Path, tmp_path: Path
) -> None:
    """2048 of 4095 is the grey 128 of 255; reports of earlier versions have no such range."""
    model, images = tmp_path / "pca", tmp_path / "images"
    shutil.copytree(results / "pca", model)
    images.mkdir()
    Image.fromarray(np.full((20, 24), 128, dtype=np.uint8)).save(images / "shallow.png")
    Image.fromarray(np.full((20, 24), 2048, dtype=np.uint16)).save(images / "deep.png")
    report = json.loads((model / "fit.json").read_text())
    for version in ("new", "old"):
        report["value_range"] = [0, 4095]
        if version == "old":
            del report["value_range"]
        (model / "fit.json").write_text(json.dumps(report))
        assert score_folder(model, images, tmp_path / version, Runtime(), overlays=False) == []
        deep, shallow = pd.read_csv(tmp_path / version / "scores.csv")["score"]
        assert (deep == shallow) == (version == "new")
