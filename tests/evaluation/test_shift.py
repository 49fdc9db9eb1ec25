"""Two-sample tests of a split's normals: what they catch, and how seldom they are wrong."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy import stats

from dualad.data.cache import build_dataset
from dualad.data.dataset import Dataset
from dualad.data.readers import embedded
from dualad.data.split import Split, make_split
from dualad.data.statistics import STATISTICS
from dualad.evaluation.shift import (
    SMALLEST_DISTANCE,
    compare,
    compare_sets,
    holm,
    measure_shift,
    score_shift,
)

SIZE = 16
FACES = {"reader": "faces"}
DIGITS = {"reader": "digits", "normal": [4, 9]}
TEXTURE = {"reader": "texture", "texture": "brick"}
NO_GROUPS = np.array([""] * 180)


def cached(folder: Path, entry: Mapping[str, Any], protocol: str, seed: int = 0) -> Split:
    """Cache a dataset in a folder and split it."""
    h5 = folder / "dataset.h5"
    build_dataset("data", entry, h5, folder / "dataset.json", image_size=SIZE)
    with Dataset(h5) as dataset:
        split = make_split(dataset.table, protocol, seed)
    (folder / "split.json").write_text(json.dumps(split.to_json()))
    return split


def shift(folder: Path) -> dict[str, Any]:
    """The result as it is written."""
    measure_shift(folder / "dataset.h5", folder / "split.json", folder / "shift.json")
    found: dict[str, Any] = json.loads((folder / "shift.json").read_text())
    return found


def test_test_normals_that_are_ten_per_cent_darker_are_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    split = cached(tmp_path, DIGITS, "pooled")
    assert shift(tmp_path)["warning"] == "" and not caplog.records
    with h5py.File(tmp_path / "dataset.h5", "r+") as file:
        images, normal = file["images"][:], file["label"][:] == 0
        chosen = [row for row in split.test if normal[row]]
        images[chosen] = np.round(0.9 * images[chosen])
        file["images"][:] = images
    with caplog.at_level(logging.WARNING):
        found = shift(tmp_path)
    assert found["warning"].startswith("shifted split: test normals")
    assert found["warning"] in caplog.text
    differing = {tuple(test["between"]) for test in found["tests"] if test["differs"]}
    assert differing == {("train", "test"), ("validation", "test")}


def test_anomalies_in_the_test_set_are_no_shift(tmp_path: Path) -> None:
    split = cached(tmp_path, DIGITS, "pooled")
    before = shift(tmp_path)
    with h5py.File(tmp_path / "dataset.h5", "r+") as file:
        images, anomalous = file["images"][:], file["label"][:] == 1
        images[anomalous] //= 4
        file["images"][:] = images
    assert any(anomalous[list(split.test)])
    assert shift(tmp_path) == before


def test_validation_images_from_another_part_of_a_photograph_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The texture's own sets have tiles all over the photograph, and are not warned of."""
    cached(tmp_path, TEXTURE, "official")
    assert shift(tmp_path)["warning"] == ""
    apart = [*["train", "train", "train", "val"] * 2, *["train", "train", "train", "test"] * 2]
    monkeypatch.setattr(embedded, "_TILE_SETS", tuple(apart))
    cached(tmp_path, TEXTURE, "official")
    found = shift(tmp_path)
    assert "validation normals" in found["warning"] and "test normals" in found["warning"]


def test_every_statistic_is_tested_between_every_two_sets(tmp_path: Path) -> None:
    split = cached(tmp_path, FACES, "pooled")
    found = shift(tmp_path)
    train, validation = split.attempt(1, split.seed)
    with Dataset(tmp_path / "dataset.h5") as dataset:
        labels = dataset.table["label"].to_numpy()
        images = {
            name: dataset.images([row for row in rows if labels[row] == 0])
            for name, rows in (("train", train), ("validation", validation), ("test", split.test))
        }
    assert found["n_images"] == {name: len(array) for name, array in images.items()}
    assert len(found["tests"]) == 3 * 4
    mean = images["train"].mean(axis=0, dtype=np.float64)
    others = [np.delete(images["train"], i, axis=0).mean(axis=0) for i in range(len(train))]
    distances = {
        "train": np.linalg.norm((images["train"] - others).reshape(len(train), -1), axis=1),
        **{
            name: np.linalg.norm((images[name] - mean).reshape(len(images[name]), -1), axis=1)
            for name in ("validation", "test")
        },
    }
    for test in found["tests"]:
        first, second = test["between"]
        if test["statistic"] == "mean_image":
            expected = stats.ks_2samp(distances[first], distances[second])
        else:
            statistic = STATISTICS[test["statistic"]]
            expected = stats.ks_2samp(statistic(images[first]), statistic(images[second]))
        assert test["distance"] == pytest.approx(expected.statistic)
        assert test["p_value"] == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("entry", [DIGITS, FACES], ids=["digits", "faces"])
def test_fair_splits_are_seldom_warned_of(tmp_path: Path, entry: Mapping[str, Any]) -> None:
    cached(tmp_path, entry, "pooled")
    with Dataset(tmp_path / "dataset.h5") as dataset:
        table, images = dataset.table, dataset.images(range(dataset.n_images))
    normal = table["label"].to_numpy() == 0
    values = {name: statistic(images) for name, statistic in STATISTICS.items()}
    repeats, warned = 150, 0
    for seed in range(repeats):
        split = make_split(table, "pooled", seed)
        sets = (*split.attempt(1, seed), np.array(split.test))
        normals = [rows[normal[rows]] for rows in sets]
        named = zip(("train", "validation", "test"), normals, strict=True)
        units = {name: {key: v[rows] for key, v in values.items()} for name, rows in named}
        warned += any(test["differs"] for test in compare_sets(units))
    # With 5 % of false alarms, more than 14 come up in less than one of a hundred such series.
    assert warned <= 14


def test_a_set_that_differs_from_both_others_is_named_once(tmp_path: Path) -> None:
    split = cached(tmp_path, FACES, "pooled")
    with h5py.File(tmp_path / "dataset.h5", "r+") as file:
        images, normal = file["images"][:], file["label"][:] == 0
        images[[row for row in split.test if normal[row]]] //= 3
        file["images"][:] = images
    warning = shift(tmp_path)["warning"]
    # Any of the statistics may differ most, all of them as much as they can.
    assert warning.count("test normals") == 1
    assert warning.endswith("than training ones (AUROC 1.00) and validation ones (AUROC 1.00)")


def test_a_certain_but_tiny_difference_is_no_warning() -> None:
    rng = np.random.default_rng(0)
    sets = {
        name: {"brightness": rng.normal(mean, 1, 20_000)} for name, mean in (("a", 0), ("b", 0.2))
    }
    (test,) = compare_sets(sets)
    assert test["p_holm"] < 1e-6 and 0 < test["distance"] < SMALLEST_DISTANCE
    assert not test["differs"]


def test_another_spread_alone_is_noticed() -> None:
    rng = np.random.default_rng(0)
    sets = {name: {"contrast": rng.normal(0, spread, 300)} for name, spread in (("a", 1), ("b", 3))}
    (test,) = compare_sets(sets)
    assert test["differs"] and abs(test["auroc"] - 0.5) < 0.1
    scores, labels, is_test = scored(0.0)
    _, notes = score_shift(np.where(is_test, 4 * scores, scores), labels, is_test, NO_GROUPS)
    assert "test normals score differently from validation normals" in notes[0]


def test_comparing_gives_distance_and_auroc_by_hand() -> None:
    found = compare(np.array([1.0, 2.0, 3.0]), np.array([3.0, 4.0]))
    assert found["distance"] == pytest.approx(2 / 3)
    assert found["auroc"] == pytest.approx(5.5 / 6)
    assert found["medians"] == [2.0, 3.5]


def test_holms_correction_by_hand() -> None:
    found = holm(np.array([0.04, 0.01, 0.5, 0.03]))
    assert found.tolist() == pytest.approx([0.09, 0.04, 0.5, 0.09])
    assert holm(np.array([0.6, 0.7])).tolist() == [1.0, 1.0]


def scored(offset: float, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of n validation and n test normals, the latter higher, and of as many anomalies."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 0, 1], n)
    is_test = np.repeat([False, True, True], n)
    return rng.normal(size=3 * n) + offset * is_test + 9 * labels, labels, is_test


def test_a_shifted_score_is_said_to_endanger_the_threshold() -> None:
    for offset, word in ((1.5, "higher"), (-1.5, "lower")):
        found, notes = score_shift(*scored(offset), NO_GROUPS)
        assert found["differs"] and f"test normals score {word} than validation" in notes[0]
    found, notes = score_shift(*scored(0.0), NO_GROUPS)
    assert not found["differs"] and notes == []


def test_a_group_counts_once() -> None:
    scores, labels, is_test = scored(1.5)
    # Two clips each: no number of frames can tell such sets apart.
    groups = np.array([f"clip {i // 30}" for i in range(180)])
    found, notes = score_shift(scores, labels, is_test, groups)
    assert notes == [] and found["p_value"] > 0.1
