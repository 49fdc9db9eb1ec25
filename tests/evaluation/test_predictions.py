"""`predictions.h5`: what goes in comes out, equal input gives equal bytes, damage is told."""

import resource
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from dualad.errors import DualadError
from dualad.evaluation.predictions import (
    Predictions,
    SyntheticScores,
    open_predictions,
    read_predictions,
    write_predictions,
)

N = 37


@pytest.fixture
def predictions() -> Predictions:
    rng = np.random.default_rng(0)
    return Predictions(
        index=np.arange(N),
        split=np.array(["val"] * 10 + ["test"] * (N - 10)),
        scores={"l2": rng.random(N), "blurred_z": rng.random(N)},
        default_score="l2",
        family="dual_autoencoder",
        method="dual",
        n_parameters=36_814_352,
        mc_mean={"l2": rng.random(N)},
        mc_var={"l2": rng.random(N)},
        maps={"l2": rng.random((N, 6, 5), dtype=np.float32)},
        reconstruction=rng.random((N, 6, 5)).astype(np.float16),
        saliency=rng.random((N, 6, 5)).astype(np.float16),
        reconstruction_skill=0.25,
        notes=("random features",),
    )


def test_saliency_of_some_images_stands_in_their_rows(
    tmp_path: Path, predictions: Predictions
) -> None:
    rows = np.array([3, N - 1])
    assert predictions.saliency is not None
    some = replace(predictions, saliency=predictions.saliency[rows], saliency_rows=rows)
    path = tmp_path / "predictions.h5"
    write_predictions(path, some)
    found = read_predictions(path, "saliency").saliency
    assert found is not None and found.shape == predictions.saliency.shape
    np.testing.assert_array_equal(found[rows], some.saliency)
    assert np.isnan(np.delete(found, rows, axis=0)).all()
    with pytest.raises(DualadError, match=f"saliency has {N} rows for 2 images"):
        write_predictions(path, replace(some, saliency=predictions.saliency))


def test_everything_comes_back(tmp_path: Path, predictions: Predictions) -> None:
    path = tmp_path / "predictions.h5"
    write_predictions(path, predictions)
    read = read_predictions(path, "scores", "mc", "maps", "reconstruction", "saliency")
    for name in ("index", "split", "reconstruction", "saliency"):
        np.testing.assert_array_equal(getattr(read, name), getattr(predictions, name))
    for name in ("scores", "mc_mean", "mc_var", "maps"):
        expected = getattr(predictions, name)
        assert set(getattr(read, name)) == set(expected)
        for key, values in getattr(read, name).items():
            assert values.dtype == expected[key].dtype
            np.testing.assert_array_equal(values, expected[key])
    for name in ("default_score", "family", "method", "n_parameters", "notes"):
        assert getattr(read, name) == getattr(predictions, name)
    assert read.reconstruction_skill == 0.25
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.h5"]


def test_scores_of_synthetic_defects_come_back(tmp_path: Path, predictions: Predictions) -> None:
    path = tmp_path / "predictions.h5"
    write_predictions(path, predictions)
    assert read_predictions(path, "synthetic").synthetic is None
    synthetic = SyntheticScores(np.array([3, 3, 4]), {"l2": np.array([0.5, 1.5, 2.5])})
    write_predictions(path, replace(predictions, synthetic=synthetic))
    assert read_predictions(path, "scores").synthetic is None
    read = read_predictions(path, "synthetic").synthetic
    assert read is not None and read.index.tolist() == [3, 3, 4]
    assert {name: values.tolist() for name, values in read.scores.items()} == {
        "l2": [0.5, 1.5, 2.5]
    }


@pytest.mark.parametrize("scores", [[0.5, np.nan], [0.5]])
def test_scores_of_synthetic_defects_are_finite_and_complete(
    tmp_path: Path, predictions: Predictions, scores: list[float]
) -> None:
    synthetic = SyntheticScores(np.array([3, 4]), {"l2": np.array(scores)})
    with pytest.raises(DualadError, match=r"l2 of method 'dual'.*synthetic defect"):
        write_predictions(tmp_path / "p.h5", replace(predictions, synthetic=synthetic))


def test_only_what_is_named_is_read(tmp_path: Path, predictions: Predictions) -> None:
    path = tmp_path / "predictions.h5"
    write_predictions(path, predictions)
    read = read_predictions(path)
    assert set(read.scores) == {"l2", "blurred_z"} and set(read.mc_mean) == {"l2"}
    assert not read.maps and read.reconstruction is None and read.saliency is None
    read = read_predictions(path, "maps/l2")
    assert set(read.maps) == {"l2"} and not read.scores
    with pytest.raises(DualadError, match="no field 'map'"):
        read_predictions(path, "map")


def test_scores_alone_are_enough(tmp_path: Path, predictions: Predictions) -> None:
    path = tmp_path / "predictions.h5"
    bare = Predictions(
        predictions.index, predictions.split, {"pca": np.arange(N) / N}, "pca", "pca", "pca", 0
    )
    write_predictions(path, bare)
    read = read_predictions(path, "scores", "mc", "maps", "reconstruction")
    assert read.reconstruction_skill is None and read.reconstruction is None
    assert not read.mc_mean and not read.maps and read.notes == ()


def test_equal_predictions_give_equal_bytes(tmp_path: Path, predictions: Predictions) -> None:
    reordered = replace(predictions, scores=dict(reversed(predictions.scores.items())))
    write_predictions(tmp_path / "a", predictions)
    # HDF5 counts time in seconds.
    time.sleep(1.1)
    write_predictions(tmp_path / "b", reordered)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_a_truncated_file_is_named(tmp_path: Path, predictions: Predictions, share: float) -> None:
    path = tmp_path / "predictions.h5"
    write_predictions(path, predictions)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DualadError, match=r"predictions\.h5: .*delete it and run again"):
        read_predictions(path)


def test_an_unfinished_or_missing_file_is_named(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "unfinished.h5", "w") as file:
        file["index"] = [0]
    with (
        pytest.raises(DualadError, match="cut short"),
        open_predictions(tmp_path / "unfinished.h5"),
    ):
        pass
    with pytest.raises(DualadError, match="score the method first"):
        read_predictions(tmp_path / "absent.h5")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": {"l2": np.full(N, np.nan)}}, "diverged"),
        ({"scores": {"l2": np.zeros(3)}}, "3 rows for 37 images"),
        ({"maps": {"l2": np.zeros((3, 2, 2), dtype=np.float32)}}, "maps/l2 has 3 rows"),
        ({"default_score": "ssim"}, "no score is named 'ssim'"),
        ({"split": np.array(["train"] * N)}, "either val or test"),
        ({"mc_var": {}}, "different scores"),
    ],
)
def test_inconsistent_predictions_are_not_written(
    tmp_path: Path, predictions: Predictions, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "predictions.h5"
    path.write_bytes(b"earlier result")
    with pytest.raises(DualadError, match=message):
        write_predictions(path, replace(predictions, **change))  # type: ignore[arg-type]
    assert path.read_bytes() == b"earlier result"


def test_a_file_that_cannot_grow_is_named_and_the_earlier_result_kept(
    tmp_path: Path, predictions: Predictions
) -> None:
    path = tmp_path / "predictions.h5"
    path.write_bytes(b"earlier result")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        with pytest.raises(DualadError, match=r"predictions\.h5: .*size limit; free some space"):
            write_predictions(path, predictions)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.h5"]
    assert path.read_bytes() == b"earlier result"


@pytest.mark.parametrize(
    ("path_in_file", "values"),
    [
        ("scores/l2", np.zeros(N - 1)),
        ("split", np.full(N, b"all")),
        ("split", np.full(2 * N, b"val")),
        ("index", np.array(3)),
    ],
)
def test_predictions_that_do_not_fit_together_are_not_read(
    tmp_path: Path, predictions: Predictions, path_in_file: str, values: np.ndarray
) -> None:
    path = tmp_path / "predictions.h5"
    write_predictions(path, predictions)
    with h5py.File(path, "a") as file:
        del file[path_in_file]
        file[path_in_file] = values
    with pytest.raises(DualadError, match=r"predictions\.h5: .*delete it and run again"):
        read_predictions(path)


def test_scores_that_are_no_numbers_are_not_read(tmp_path: Path, predictions: Predictions) -> None:
    path = tmp_path / "predictions.h5"
    write_predictions(path, predictions)
    with h5py.File(path, "a") as file:
        file["scores/l2"][3] = np.nan
    with pytest.raises(DualadError, match="not finite for dataset image 3"):
        read_predictions(path)
