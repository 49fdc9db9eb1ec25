"""What a fitted method says about every validation and test image: `predictions.h5`."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from dualad.arrays import damaged_hdf5, open_hdf5, reading_hdf5
from dualad.errors import DualadError
from dualad.files import Hdf5Sink, replacing

Floats = NDArray[np.float64]
CHUNK_IMAGES = 16
_DAMAGE = "the predictions are cut short"
_IMAGE_FIELDS = ("reconstruction", "saliency")


@dataclass(frozen=True)
class SyntheticScores:
    """Scores of normal validation images with a synthetic defect (`dualad.data.synthetic`)."""

    index: NDArray[np.int64]
    """(m,) the dataset's image that each was made of."""
    scores: Mapping[str, Floats]
    """(m,) per name."""


@dataclass(frozen=True)
class Predictions:
    """Scores, and maps where a method has them; row i of every array belongs to `index[i]`.

    A higher score, and a higher value in a map, is more anomalous. The arrays of images may be
    anything that can be sliced and has a shape (a memory map, say): they are written in slices.
    """

    index: NDArray[np.int64]
    """(n,) indices into the dataset."""
    split: NDArray[np.str_]
    """(n,) `val` or `test`."""
    scores: Mapping[str, Floats]
    """(n,) per name."""
    default_score: str
    family: str
    method: str
    n_parameters: int
    mc_mean: Mapping[str, Floats] = field(default_factory=dict)
    """(n,) mean over Monte Carlo dropout samples (eq. 31) per name; empty without them."""
    mc_var: Mapping[str, Floats] = field(default_factory=dict)
    """(n,) variance over them (eq. 32) per name."""
    maps: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """(n, h, w) per name."""
    reconstruction: NDArray[np.float16] | None = None
    """(n, S, S)."""
    saliency: NDArray[np.float16] | None = None
    """(k, S, S) for `saliency_rows`; as it is read (n, S, S), not a number for the other rows."""
    saliency_rows: NDArray[np.int64] | None = None
    """(k,) rows of the images whose saliency is written, ascending; None for all n."""
    reconstruction_skill: float | None = None
    """1 - loss / loss of the mean image, for methods that reconstruct."""
    notes: tuple[str, ...] = ()
    """What a reader of a table has to know, such as "random features"."""
    synthetic: SyntheticScores | None = None
    """None where no defects were made, as by earlier versions."""


def write_predictions(path: Path | str, predictions: Predictions) -> None:
    """Write all predictions of a method; equal predictions give equal bytes.

    Raises
    ------
    DualadError
        If lengths disagree, a value is unknown to the format, a score is not finite, or the file
        cannot be written.
    """
    path = Path(path)
    if reason := _disagreement(predictions):
        raise DualadError(f"{path}: {reason}; correct the method that predicted so")
    _check_finite(path, predictions)
    with replacing(path) as temporary, Hdf5Sink(temporary) as sink:
        # The format of the library's later versions would note when each group was made.
        with h5py.File(sink, "w") as file:
            _write(file, predictions)
        sink.sync()


def read_predictions(path: Path | str, *fields: str) -> Predictions:
    """Read the named fields of `predictions.h5`.

    Parameters
    ----------
    path
        The file.
    fields
        Any of `scores`, `mc`, `maps`, `maps/<name>`, `reconstruction`, `saliency`, `synthetic`;
        `scores` and `mc` if none is named. `index`, `split` and the attributes are always read;
        what is not named, or not in the file, stays empty.

    Raises
    ------
    DualadError
        If the file is missing, truncated or unfinished, or a field is unknown.
    """
    wanted = fields or ("scores", "mc")
    for name in wanted:
        known = ("scores", "mc", "maps", "synthetic", *_IMAGE_FIELDS)
        if name not in known and not name.startswith("maps/"):
            raise DualadError(f"{path}: predictions have no field {name!r}")
    with open_predictions(path) as file, reading_hdf5(Path(path), _DAMAGE):
        predictions = _read(file, wanted)
        if reason := _disagreement(predictions):
            raise damaged_hdf5(Path(path), _DAMAGE, reason)
    _check_finite(Path(path), predictions)
    return predictions


@contextmanager
def open_predictions(path: Path | str) -> Iterator[h5py.File]:
    """Open `predictions.h5` for reading, to slice maps without loading them all.

    Datasets are named as in `Predictions`: `index`, `split`, `scores/<name>`, `mc_mean/<name>`,
    `mc_var/<name>`, `maps/<name>`, `reconstruction`, `saliency`, `synthetic/index`,
    `synthetic/scores/<name>`.

    Raises
    ------
    DualadError
        If the file is missing, truncated or unfinished.
    """
    if not Path(path).exists():
        raise DualadError(f"{path}: no such file; score the method first")
    with open_hdf5(Path(path), _DAMAGE) as file:
        yield file


def _disagreement(predictions: Predictions) -> str:
    """What does not fit together; empty if everything does."""
    n = len(predictions.index)
    image_fields = {name: getattr(predictions, name) for name in _IMAGE_FIELDS}
    named: dict[str, Any] = {
        "split": predictions.split,
        **_numbers(predictions),
        **{f"maps/{name}": value for name, value in predictions.maps.items()},
        **{name: value for name, value in image_fields.items() if value is not None},
    }
    shown = predictions.saliency_rows
    for name, value in named.items():
        rows = value.shape[0] if value.ndim else 0
        expected = n if name != "saliency" or shown is None else len(shown)
        if rows != expected:
            return f"{name} has {rows} rows for {expected} images"
    if predictions.scores and predictions.default_score not in predictions.scores:
        return f"no score is named {predictions.default_score!r}, the default"
    if not np.all(np.isin(predictions.split, ("val", "test"))):
        return "every image is either val or test"
    synthetic = {} if predictions.synthetic is None else predictions.synthetic.scores
    for name, values in {**_numbers(predictions), **synthetic}.items():
        if values.dtype.kind not in "fiu":
            return f"{name} holds no numbers"
    if set(predictions.mc_mean) != set(predictions.mc_var):
        return "mc_mean and mc_var name different scores"
    return ""


def _numbers(predictions: Predictions) -> dict[str, Floats]:
    """Everything with a number per image, by its path in the file."""
    return {
        f"{group}/{name}": values
        for group in ("scores", "mc_mean", "mc_var")
        for name, values in getattr(predictions, group).items()
    }


def _check_finite(path: Path, predictions: Predictions) -> None:
    """Refuse scores of a network that has diverged."""
    for name, values in _numbers(predictions).items():
        finite = np.isfinite(values)
        if not np.all(finite):
            raise DualadError(
                f"{path}: {name} of method {predictions.method!r} is not finite for dataset image "
                f"{predictions.index[np.argmin(finite)]}; the model has diverged: "
                "lower learning_rate and train again"
            )
    if (synthetic := predictions.synthetic) is None:
        return
    for name, values in synthetic.scores.items():
        if values.shape != synthetic.index.shape or not np.all(np.isfinite(values)):
            raise DualadError(
                f"{path}: {name} of method {predictions.method!r} is not finite for every "
                "synthetic defect; the model has diverged: lower learning_rate and train again"
            )


def _write(file: h5py.File, predictions: Predictions) -> None:
    def vector(name: str, values: NDArray[Any]) -> None:
        file.create_dataset(name, data=values, track_times=False)

    n = len(predictions.index)

    def images(
        name: str,
        values: NDArray[Any],
        dtype: type[np.floating[Any]],
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        size = values.shape[1:]
        dataset = file.create_dataset(
            name,
            shape=(n, *size),
            dtype=dtype,
            chunks=(max(min(CHUNK_IMAGES, n), 1), *size),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
            fillvalue=None if rows is None else np.nan,
            track_times=False,
        )
        if rows is not None:
            # Chunks without any of these rows take no space.
            dataset[rows] = values
            return
        for start in range(0, n, CHUNK_IMAGES):
            dataset[start : start + CHUNK_IMAGES] = values[start : start + CHUNK_IMAGES]

    vector("index", np.asarray(predictions.index, dtype=np.int64))
    vector("split", np.asarray(predictions.split).astype("S4"))
    for group in ("scores", "mc_mean", "mc_var"):
        for name, values in sorted(getattr(predictions, group).items()):
            vector(f"{group}/{name}", np.asarray(values, dtype=np.float64))
    for name, maps in sorted(predictions.maps.items()):
        images(f"maps/{name}", maps, np.float32)
    if predictions.reconstruction is not None:
        images("reconstruction", predictions.reconstruction, np.float16)
    if predictions.saliency is not None:
        images("saliency", predictions.saliency, np.float16, predictions.saliency_rows)
    if predictions.synthetic is not None:
        vector("synthetic/index", np.asarray(predictions.synthetic.index, dtype=np.int64))
        for name, values in sorted(predictions.synthetic.scores.items()):
            vector(f"synthetic/scores/{name}", np.asarray(values, dtype=np.float64))
    file.attrs["family"] = predictions.family
    file.attrs["method"] = predictions.method
    file.attrs["default_score"] = predictions.default_score
    file.attrs["n_parameters"] = int(predictions.n_parameters)
    if predictions.reconstruction_skill is not None:
        file.attrs["reconstruction_skill"] = float(predictions.reconstruction_skill)
    file.attrs["notes"] = json.dumps(list(predictions.notes))
    file.attrs["complete"] = True


def _read(file: h5py.File, wanted: tuple[str, ...]) -> Predictions:
    def group(name: str, field_name: str) -> dict[str, Any]:
        if field_name not in wanted and not any(f.startswith(f"{name}/") for f in wanted):
            return {}
        return {
            key: values[:]
            for key, values in file.get(name, {}).items()
            if field_name in wanted or f"{name}/{key}" in wanted
        }

    def images(name: str) -> NDArray[np.float16] | None:
        return file[name][:] if name in wanted and name in file else None

    synthetic = file.get("synthetic") if "synthetic" in wanted else None
    skill = file.attrs.get("reconstruction_skill")
    return Predictions(
        index=file["index"][:],
        split=file["split"][:].astype(str),
        scores=group("scores", "scores"),
        default_score=str(file.attrs["default_score"]),
        family=str(file.attrs["family"]),
        method=str(file.attrs["method"]),
        n_parameters=int(file.attrs["n_parameters"]),
        mc_mean=group("mc_mean", "mc"),
        mc_var=group("mc_var", "mc"),
        maps=group("maps", "maps"),
        reconstruction=images("reconstruction"),
        saliency=images("saliency"),
        reconstruction_skill=None if skill is None else float(skill),
        notes=tuple(json.loads(file.attrs["notes"])),
        synthetic=None
        if synthetic is None
        else SyntheticScores(
            synthetic["index"][:],
            {name: values[:] for name, values in synthetic["scores"].items()},
        ),
    )
