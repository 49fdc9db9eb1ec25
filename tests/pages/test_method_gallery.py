"""The gallery of a finished method, from its files."""

import json
from pathlib import Path

import numpy as np
import pytest
from page_content import Structure, values_in

from dualad.data.dataset import Dataset
from dualad.errors import DualadError
from dualad.pages.method_gallery import MethodFiles, read_method, write_method_gallery


def page_of(tree: Path, dataset: str, method: str) -> str:
    folder = tree / dataset / method
    with Dataset(tree / dataset / "dataset.h5") as opened:
        write_method_gallery(MethodFiles(folder, opened.path), opened)
    return (folder / "gallery.html").read_text(encoding="utf-8")


def test_every_test_image_is_there_with_its_numbers(tree: Path) -> None:
    page = page_of(tree, "brick", "dual")
    test = read_method(tree / "brick/dual").test
    values = values_in(page)
    assert values["names"] == test["image"].tolist()
    assert values["scores"] == test["score"].tolist()
    decided = np.array(values["scores"]) > values["threshold"]
    assert decided.astype(int).tolist() == test["decision"].tolist()
    assert "standard deviation of the score" in page and "share of normal images" in page
    assert "synthetic &lt;defects&gt;" in page


def test_true_defects_are_outlined_where_there_are_masks(tree: Path) -> None:
    anomalous = int((read_method(tree / "brick/dual").test["label"] == 1).sum())
    # Over the image, and over the heat.
    assert Structure(page_of(tree, "brick", "dual")).with_class("outline") == 2 * anomalous
    assert Structure(page_of(tree, "faces", "dual")).with_class("outline") == 0


def test_a_method_without_maps_has_a_gallery_without_heat(tree: Path) -> None:
    page = page_of(tree, "brick", "pixel_std")
    assert Structure(page).with_class("pairs") == 0 and "Heat has one scale" not in page


def test_scores_of_an_early_version_have_no_p_value(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "brick/pca"
    folder.mkdir(parents=True)
    for name in ("metrics.json", "threshold.json", "predictions.h5"):
        (folder / name).write_bytes((tree / "brick/pca" / name).read_bytes())
    scores = read_method(tree / "brick/pca").scores
    scores[["image", "split", "label", "decision", "defect", "score"]].to_csv(
        folder / "scores.csv", index=False
    )
    with Dataset(tree / "brick/dataset.h5") as dataset:
        write_method_gallery(MethodFiles(folder, dataset.path), dataset)
    assert "share of normal images" not in (folder / "gallery.html").read_text()


def test_a_damaged_file_is_named(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "brick/pca"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"family": "pca"})[:-4])
    with pytest.raises(DualadError, match=r"metrics\.json: cannot be read"):
        read_method(folder)
