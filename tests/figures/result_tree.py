"""A small synthetic result tree in the formats that the workflow leaves behind."""

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from dualad.data.split import Split
from dualad.design.families import FAMILIES
from dualad.design.parameters import DualAutoencoderParams
from dualad.evaluation.evaluator import evaluate
from dualad.evaluation.predictions import Predictions, write_predictions


@dataclass(frozen=True)
class Arm:
    """A method of the tree: how well it separates and which files it leaves."""

    name: str
    family: str = "dual_autoencoder"
    shift: float = 2.0
    """Distance between the classes' mean scores, in standard deviations."""
    attempts: int = 3
    epochs: int = 40
    trials: int = 8
    notes: tuple[str, ...] = ()
    maps: bool = False


ARMS = (
    Arm("dual", shift=1.5),
    Arm("dual_plus", shift=3.0, maps=True),
    Arm("image_only", shift=1.2, trials=0),
    Arm("pixel_only", shift=1.4, trials=0, notes=("random features",)),
    Arm("mean_image", "mean_image", shift=1.0),
    Arm("pca", "pca", shift=2.0),
    Arm("pixel_std", "pixel_std", shift=0.4),
)


@dataclass(frozen=True)
class Pictures:
    """The dataset in memory."""

    images: NDArray[np.float64]
    masks: NDArray[np.bool_]
    label: NDArray[np.int64]
    defect: NDArray[np.str_]
    split: NDArray[np.str_]
    source: NDArray[np.str_]


def make_dataset(
    folder: Path,
    *,
    size: int = 16,
    n_normal: int = 30,
    n_anomalous: int = 24,
    masked: bool = True,
    note: str = "",
    seed: int = 0,
) -> Pictures:
    """Write `dataset.h5` and `dataset.json`; the first third of each class is validation."""
    rng = np.random.default_rng(seed)
    n = n_normal + n_anomalous
    label = np.repeat([0, 1], [n_normal, n_anomalous])
    images = gaussian_filter(rng.normal(size=(n, size, size)), (0, 1.5, 1.5))
    images = np.clip(0.5 + images, 0, 1)
    masks = np.zeros(images.shape, dtype=bool)
    kinds = np.array(["scratch_deep", "spot"])
    defect = np.where(label == 1, kinds[np.arange(n) % 2], "good")
    for i in np.flatnonzero(label):
        x, y = rng.integers(2, size - size // 4 - 1, size=2)
        height, width = (2, size // 3) if defect[i] == "scratch_deep" else (size // 5, size // 5)
        masks[i, y : y + height, x : x + width] = True
    images[masks] = 1 - 0.9 * images[masks]
    source = np.array([f"test/{d}/{i:03d}.png" for i, d in enumerate(defect)])
    position = np.concatenate([np.arange(n_normal), np.arange(n_anomalous)])
    split = np.where(position < np.where(label == 0, n_normal, n_anomalous) / 3, "val", "test")
    folder.mkdir(parents=True, exist_ok=True)
    text = h5py.string_dtype()
    with h5py.File(folder / "dataset.h5", "w") as file:
        file.create_dataset(
            "images", data=np.round(images * 255).astype(np.uint8), chunks=(8, size, size)
        )
        file["label"] = label.astype(np.int8)
        for name, values in (
            ("defect", defect),
            ("group", np.full(n, "")),
            ("official_split", np.full(n, "test")),
            ("source", source),
            ("sha256", np.array([f"{i:064x}" for i in range(n)])),
        ):
            file.create_dataset(name, data=values.astype(object), dtype=text)
        file["dropped"] = np.zeros(n, dtype=bool)
        file["mask_index"] = np.where(label == 1, np.cumsum(label) - 1, -1) if masked else -label
        stored = masks[label == 1] if masked else masks[:0]
        if not masked:
            file["mask_index"][...] = -1
        file.create_dataset(
            "masks", data=stored.astype(np.uint8), chunks=(8, size, size), maxshape=(None,) * 3
        )
        file.attrs.update(name=folder.name, reader="synthetic", complete=True)
    (folder / "dataset.json").write_text(json.dumps({"name": folder.name, "note": note}))
    chosen = {
        "test": np.flatnonzero(split == "test"),
        "train": [],
        "validation_normal": np.flatnonzero((split == "val") & (label == 0)),
        "validation_anomalous": np.flatnonzero((split == "val") & (label == 1)),
    }
    made = Split(
        protocol="paper",
        seed=0,
        reshuffle=True,
        validation_fraction=0.2,
        **{name: tuple(int(i) for i in indices) for name, indices in chosen.items()},
    )
    (folder / "split.json").write_text(json.dumps(made.to_json()))
    return Pictures(images, masks, label, defect, split, source)


def make_method(folder: Path, arm: Arm, pictures: Pictures, *, seed: int = 1) -> Path:
    """Write every file that a method leaves in its folder."""
    rng = np.random.default_rng([seed, len(arm.name), sum(map(ord, arm.name))])
    folder.mkdir(parents=True, exist_ok=True)
    label, n = pictures.label, len(pictures.label)
    score = 0.3 + 0.02 * (rng.normal(size=n) + arm.shift * label)
    if arm.family == "pixel_std":
        score = score - 0.6
    dual = arm.family == "dual_autoencoder"
    mean = score + rng.normal(scale=0.002, size=n)
    variance = (0.004 * (1 + label) * rng.uniform(0.6, 1.4, size=n)) ** 2
    _write_predictions(folder, arm, pictures, score, mean if dual else None, variance, rng)
    dataset = folder.parent
    params = FAMILIES[arm.family].params()
    if dual:
        params = DualAutoencoderParams(score="blurred_z" if arm.maps else "l2")
    evaluate(
        dataset / "dataset.h5",
        dataset / "split.json",
        folder / "predictions.h5",
        params,
        arm.name,
        folder,
        bootstrap=10,
    )
    if dual:
        _write_training(folder, arm, rng)
        if arm.trials:
            _write_trials(folder, arm, rng)
    return folder


def make_result_tree(
    root: Path, datasets: tuple[str, ...] = ("brick", "faces"), arms: tuple[Arm, ...] = ARMS
) -> dict[str, list[Path]]:
    """Datasets of 54 images; the first has masks, the others none."""
    tree = {}
    for i, name in enumerate(datasets):
        note = "synthetic defects" if i == 0 else ""
        pictures = make_dataset(root / name, masked=i == 0, note=note, seed=i)
        tree[name] = [make_method(root / name / arm.name, arm, pictures, seed=i) for arm in arms]
    return tree


def _write_predictions(
    folder: Path,
    arm: Arm,
    pictures: Pictures,
    score: NDArray[np.float64],
    mean: NDArray[np.float64] | None,
    variance: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    images = pictures.images.astype(np.float32)
    rebuilt = gaussian_filter(np.where(pictures.masks, 0.5, images), (0, 1, 1))
    has_reconstruction = arm.family != "pixel_std"
    name = "blurred_z" if arm.maps else "l2"
    residual = gaussian_filter(images - rebuilt, (0, 1, 1)).astype(np.float32)
    write_predictions(
        folder / "predictions.h5",
        Predictions(
            index=np.arange(len(images)),
            split=pictures.split,
            scores={name: score},
            default_score=name,
            family=arm.family,
            method=arm.name,
            n_parameters=36_814_352,
            mc_mean={} if mean is None else {name: mean},
            mc_var={} if mean is None else {name: variance},
            maps={name: np.abs(residual)} if arm.maps else {},
            reconstruction=rebuilt.astype(np.float16) if has_reconstruction else None,
            saliency=(
                np.abs(rng.normal(scale=1e-3, size=images.shape) + residual).astype(np.float16)
                if mean is not None
                else None
            ),
            reconstruction_skill=0.42 if has_reconstruction else None,
            notes=arm.notes,
        ),
    )


def _write_training(folder: Path, arm: Arm, rng: np.random.Generator) -> None:
    curves, rows = [], []
    for attempt in range(1, arm.attempts + 1):
        n = arm.epochs if attempt % 3 else max(arm.epochs // 2, 3)
        epoch = np.arange(1, n + 1)
        loss = 0.004 * np.exp(-epoch / (0.2 * arm.epochs)) + 5e-4 / attempt
        metric = np.clip(1.7 - np.exp(-epoch / 10) + rng.normal(scale=0.08, size=n), 0.8, 2.0)
        smooth = pd.Series(metric).ewm(alpha=0.3, adjust=False).mean().to_numpy()
        val_loss = loss * rng.uniform(1.1, 1.3, size=n)
        curves.append(
            pd.DataFrame(
                {
                    "attempt": attempt,
                    "epoch": epoch,
                    "loss": loss,
                    "val_loss": val_loss,
                    "detection_metric": metric,
                    "smoothed_metric": smooth,
                    "seconds": 0.1,
                }
            )
        )
        rows.append(
            {
                "attempt": attempt,
                "epochs": n,
                "best_epoch": int(epoch[np.argmin(val_loss)]),
                "train_loss": loss[-1],
                "val_loss": val_loss.min(),
                "detection_metric": metric[-1],
                "smoothed_metric": smooth[-1],
                "mean_image_loss": 0.0011,
                "reconstruction_skill": 0.4,
                "stopped": "epochs" if attempt % 3 else "early_stopping",
                "diverged": attempt == 2,
                "selected": attempt == arm.attempts,
                "seconds": 1.0,
            }
        )
    pd.concat(curves).to_csv(folder / "epochs.csv", index=False)
    pd.DataFrame(rows).to_csv(folder / "attempts.csv", index=False)


def _write_trials(folder: Path, arm: Arm, rng: np.random.Generator) -> None:
    layers = [f"{part}_{i}" for part in ("image", "pixel", "decoder") for i in range(3)]
    rates = np.round(rng.uniform(0, 0.5, size=(arm.trials, 9)), 2)
    table = pd.DataFrame(rates, columns=layers)
    table.insert(0, "trial", np.arange(arm.trials))
    table.insert(1, "status", "COMPLETED")
    table.insert(2, "val_loss", 0.0006 + 0.001 * rates.mean(axis=1))
    table.insert(3, "seconds", 2.0)
    if arm.trials > 3:
        table.loc[2, ["status", "val_loss"]] = ["FAILED", 0.48]
    (folder / "search").mkdir(exist_ok=True)
    table.to_csv(folder / "search/trials.csv", index=False)
