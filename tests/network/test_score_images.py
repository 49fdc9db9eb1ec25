"""`dualad score`: a results folder and a folder of new images in, a CSV and overlays out."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dualad.cli import main
from dualad.data import Dataset, build_dataset
from dualad.device import Runtime
from dualad.evaluation import evaluate
from dualad.experiments import resolve_methods
from dualad.methods import run_fit, run_score
from dualad.preparation import prepare

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
            pixels = rng.integers(shade, shade + 60, (20, 24), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / part / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    folder = tmp_path_factory.mktemp("results")
    h5, plan, split = (folder / name for name in ("dataset.h5", "plan.json", "split.json"))
    entry = {"reader": "folder", "path": str(images)}
    build_dataset("own", entry, h5, folder / "dataset.json", image_size=12)
    prepare(h5, folder / "dataset.json", plan_json=plan, split_json=split)
    for name, method in METHODS.items():
        out = folder / name
        runtime = Runtime()
        run_fit(method, h5, split, plan, None, out_dir=out, work_dir=out / "work", runtime=runtime)
        run_score(method, out, h5, split, predictions_h5=out / "predictions.h5", runtime=runtime)
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
    with Dataset(results / "dataset.h5") as dataset:
        assert len(list((tmp_path / "overlays").rglob("*.png"))) == dataset.n_images
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
