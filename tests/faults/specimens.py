"""Undamaged inputs of every kind, and how the package opens each of them."""

import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from damages import BYTES, JSON, Damage
from PIL import Image
from structured_damages import HDF5, KERAS, NPZ, TAR, TORCH, ZIP

from dualad.data.cache import build_dataset
from dualad.data.dataset import Dataset
from dualad.data.download import unpack
from dualad.data.formats import UnreadableImageError
from dualad.data.images import MaskFile, load_image
from dualad.data.preparation import prepare
from dualad.data.readers.ucsd import parse_ground_truth
from dualad.deployment.archive import MANIFEST, write_archive
from dualad.deployment.export import export_detector
from dualad.design.experiments import Method, resolve_methods
from dualad.design.schema import complete_config
from dualad.design.targets import Design
from dualad.errors import DualadError
from dualad.evaluation.evaluator import evaluate
from dualad.evaluation.predictions import read_predictions
from dualad.files import read_json, reading
from dualad.methods.jobs import ExperimentFiles, Job, run_fit, run_score
from dualad.results.experiment import (
    costs,
    dataset_note,
    read_attempts,
    read_metrics,
    read_test_scores,
)
from dualad.results.recommendation import write_recommendation
from dualad.runtime import Runtime
from dualad.scored_folder import score_folder

SIZE = 16
"""Side of the images, in pixels."""
EARLIER = "earlier"
"""Folder of results of earlier runs, in the folder of a specimen."""

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes
    ----------
    file
        Path of what is damaged, in the folder of the specimen.
    build
        Writes an undamaged specimen to a folder.
    open
        Opens it as the package does; returns what is wrong with what was read, or an empty text.
    damages
        By name.
    named
        What a message has to name: the file's name, unless given.
    tensorflow
        Whether TensorFlow is needed.
    """

    file: str
    build: Callable[[Path], None]
    open: Callable[[Path], str]
    damages: Mapping[str, Damage]
    named: str | None = None
    tensorflow: bool = False

    @property
    def name(self) -> str:
        """What a message has to name."""
        return Path(self.file).name if self.named is None else self.named


def picture(color: bool = False, seed: int = 0) -> Pixels:
    """A picture with structure: uint8, (24, 20) or (24, 20, 3)."""
    y, x = np.mgrid[:24, :20]
    noise = np.random.default_rng(seed).integers(0, 40, (24, 20))
    grey = (128 + 60 * np.sin(x / 3) * np.cos(y / 4) + noise - 20).clip(0, 255).astype(np.uint8)
    return np.stack([grey, grey[::-1], 255 - grey], axis=-1) if color else grey


# Images and masks


def _open_image(file: str) -> Callable[[Path], str]:
    def opened(folder: Path) -> str:
        for color in (False, True):
            image = load_image(folder / file, SIZE, color=color, value_range=(10.0, 60000.0))
            shape = (SIZE, SIZE, 3) if color else (SIZE, SIZE)
            if image.shape != shape or not (image.min() >= 0 and image.max() <= 1):
                return f"an image {image.shape} in [{image.min()}, {image.max()}]"
        return ""

    return opened


def _open_depth(folder: Path) -> str:
    image = load_image(folder / "depth.tiff", SIZE, depth_range=(0.2, 0.9))
    if image.shape != (SIZE, SIZE) or not (image.min() >= 0 and image.max() <= 1):
        return f"an image {image.shape} in [{image.min()}, {image.max()}]"
    return ""


def _open_mask(folder: Path) -> str:
    path = folder / "mask.png"
    try:
        mask, _ = MaskFile(path).decode_mask(SIZE)
    except UnreadableImageError as error:
        # The cache adds the name of the mask, and the remedy.
        raise DualadError(f"{path}: {error}; replace the file") from error
    return "" if set(np.unique(mask)) <= {0, 1} else "a mask of other values than 0 and 1"


def _image_kind(file: str, make: Callable[[], Image.Image], **options: Any) -> Kind:
    return Kind(
        file, lambda folder: make().save(folder / file, **options), _open_image(file), BYTES
    )


def _palette() -> Image.Image:
    return Image.fromarray(picture(color=True)).quantize(16)


def _deep() -> Image.Image:
    return Image.fromarray(picture().astype(np.uint16) * 200)


def _with_alpha() -> Image.Image:
    image = Image.fromarray(picture(color=True)).convert("RGBA")
    image.putalpha(Image.fromarray(picture(seed=1)))
    return image


def _grey() -> Image.Image:
    return Image.fromarray(picture())


def _color() -> Image.Image:
    return Image.fromarray(picture(color=True))


def _build_mask(folder: Path) -> None:
    Image.fromarray(((picture() > 128) * 255).astype(np.uint8)).save(folder / "mask.png")


def _build_depth(folder: Path) -> None:
    depth = np.repeat(picture()[..., None].astype(np.float32) / 255, 3, axis=-1)
    tifffile.imwrite(folder / "depth.tiff", depth)


IMAGES = {
    "png_grey": _image_kind("image.png", _grey),
    "png_deep": _image_kind("image.png", _deep),
    "png_palette": _image_kind("image.png", _palette),
    "png_alpha": _image_kind("image.png", _with_alpha),
    "jpeg": _image_kind("image.jpg", _color, quality=90),
    "bmp": _image_kind("image.bmp", _color),
    "gif": _image_kind("image.gif", _palette),
    "webp": _image_kind("image.webp", _color),
    "webp_lossless": _image_kind("image.webp", _with_alpha, lossless=True),
    "tiff": _image_kind("image.tif", _grey),
    "tiff_deep": _image_kind("image.tif", _deep, compression="tiff_lzw"),
    "tiff_color": _image_kind("image.tif", _color, compression="tiff_deflate"),
    "mask": Kind("mask.png", _build_mask, _open_mask, BYTES),
    "depth": Kind("depth.tiff", _build_depth, _open_depth, BYTES),
}


# Datasets


def _build_medmnist(folder: Path) -> None:
    arrays = {}
    for split, n in (("train", 8), ("val", 4), ("test", 6)):
        arrays[f"{split}_images"] = np.stack([picture(seed=i) for i in range(n)])
        arrays[f"{split}_labels"] = (np.arange(n) % 2)[:, None].astype(np.uint8)
    np.savez_compressed(folder / "images.npz", **arrays)
    _build_earlier(folder)


def _build_folder(folder: Path) -> None:
    for first, name, n in ((0, "train/good", 6), (6, "test/good", 3), (9, "test/scratch", 3)):
        (folder / "data" / name).mkdir(parents=True)
        for i in range(n):
            _save(folder / f"data/{name}/{i}.png", picture(seed=first + i))
    (folder / "data/ground_truth/scratch").mkdir(parents=True)
    for i in range(3):
        _save(folder / f"data/ground_truth/scratch/{i}_mask.png", (picture() > 128) * 255)
    _build_earlier(folder)


def _save(path: Path, pixels: Pixels) -> None:
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def _build_earlier(folder: Path) -> None:
    """What an earlier job left, which a refused input must leave as it is."""
    (folder / EARLIER).mkdir()
    for name in ("dataset.h5", "dataset.json"):
        (folder / EARLIER / name).write_text("of an earlier run")


def _open_dataset(entry: Mapping[str, Any], path: str) -> Callable[[Path], str]:
    def opened(folder: Path) -> str:
        results = folder / EARLIER
        h5, description = results / "dataset.h5", results / "dataset.json"
        build_dataset(
            "data", {**entry, "path": str(folder / path)}, h5, description, image_size=SIZE
        )
        return _faults_of(h5)

    return opened


def _faults_of(h5: Path) -> str:
    """What is wrong with a cache of images."""
    with Dataset(h5) as dataset:
        rows = np.arange(dataset.n_images)
        images, masks = dataset.images(rows), dataset.masks(rows)
        labels = set(dataset.table["label"])
    if images.shape[1:3] != masks.shape[1:3]:
        return f"images {images.shape}, masks {masks.shape}"
    if len(images) and not (images.min() >= 0 and images.max() <= 1):
        return f"images in [{images.min()}, {images.max()}]"
    return "" if labels <= {0, 1} else f"labels {labels}"


def _build_frames(folder: Path) -> None:
    lines = [f"TestVideoFile{{end+1}}.gt_frame = [{i + 1}:90, 140:200];" for i in range(12)]
    (folder / "UCSDped1.m").write_text("\n".join(["TestVideoFile = {};", *lines]) + "\n")


def _open_frames(folder: Path) -> str:
    clips = parse_ground_truth(folder / "UCSDped1.m")
    return "" if all(min(clip, default=1) >= 0 for clip in clips) else "negative frames"


DATASETS = {
    "medmnist": Kind(
        "images.npz", _build_medmnist, _open_dataset({"reader": "medmnist"}, "images.npz"), NPZ
    ),
    "folder_image": Kind(
        "data/train/good/0.png", _build_folder, _open_dataset({"reader": "folder"}, "data"), BYTES
    ),
    "folder_mask": Kind(
        "data/ground_truth/scratch/0_mask.png",
        _build_folder,
        _open_dataset({"reader": "mvtec"}, "data"),
        BYTES,
    ),
    "frames": Kind("UCSDped1.m", _build_frames, _open_frames, BYTES),
}


# Archives


def _members() -> dict[str, bytes]:
    output = io.BytesIO()
    Image.fromarray(picture()).save(output, "PNG")
    return {f"good/{i}.png": output.getvalue() for i in range(3)}


def _build_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "data.archive", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _members().items():
            archive.writestr(name, content)


def _build_tar(mode: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        with tarfile.open(folder / "data.archive", mode) as archive:
            for name, content in _members().items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))

    return build


def _open_archive(folder: Path) -> str:
    target = folder / "unpacked"
    try:
        unpack(folder / "data.archive", target)
    except DualadError:
        left = [path.name for path in folder.iterdir() if path.name != "data.archive"]
        if left:
            return f"refused, but {', '.join(left)} is left"
        raise
    outside = [path for path in target.rglob("*") if target not in path.resolve().parents]
    return f"{outside[0]} leads out of the folder" if outside else ""


ARCHIVES = {
    "zip": Kind("data.archive", _build_zip, _open_archive, ZIP),
    "tar": Kind("data.archive", _build_tar("w"), _open_archive, TAR),
    "tar_gz": Kind("data.archive", _build_tar("w:gz"), _open_archive, TAR),
    "tar_xz": Kind("data.archive", _build_tar("w:xz"), _open_archive, BYTES),
}


# Results


def _methods(**entries: Mapping[str, Any]) -> dict[str, Method]:
    return resolve_methods(entries)


DIGITS = {"reader": "digits", "normal": [1], "anomalies_per_class": 8}
_FITTED: Mapping[str, Mapping[str, Any]] = {
    "pca": {"family": "pca", "components": 4},
    "mean_image": {"family": "mean_image"},
    "pixel_std": {"family": "pixel_std"},
    "pixels": {"family": "pixels_supervised"},
    "dual": {
        "family": "dual_autoencoder",
        "encoder_widths": [8, 4],
        "decoder_widths": [8],
        "dropout": [0.1] * 3,
        "epochs": 2,
        "early_stopping": False,
        "divergence_factor": 1000.0,
        "attempts": 1,
        "mc": {"samples": 2},
    },
}
_RUNTIME = Runtime(threads=1, cores=1)


def _build_results(*names: str) -> Callable[[Path], None]:
    """Writes `results/digits` with some methods, and a folder of images to score."""

    def build(folder: Path) -> None:
        digits = folder / "results/digits"
        h5, description = digits / "dataset.h5", digits / "dataset.json"
        build_dataset("digits", DIGITS, h5, description, image_size=SIZE)
        files = ExperimentFiles(h5, digits / "split.json", digits / "plan.json")
        prepare(h5, description, plan_json=files.plan_json, split_json=files.split_json)
        for name in names:
            method = resolve_methods({name: _FITTED[name]})[name]
            run_fit(method, Job(files, digits / name, folder / "work", _RUNTIME))
            run_score(method, h5, files.split_json, digits / name, _RUNTIME)
            _evaluate(folder, name)
        write_recommendation(digits, names)
        (folder / "images").mkdir()
        for i in range(2):
            _save(folder / f"images/{i}.png", picture(seed=i))

    return build


def _evaluate(folder: Path, name: str) -> None:
    digits = folder / "results/digits"
    method = resolve_methods({name: _FITTED[name]})[name]
    paths = (digits / "dataset.h5", digits / "split.json", digits / name / "predictions.h5")
    evaluate(*paths, method.params, name, digits / name, bootstrap=5)


def _score(folder: Path, what: str) -> str:
    """Score two images, as `dualad score` does."""
    out = folder / "scored"
    problems = score_folder(folder / "results/digits" / what, folder / "images", out, _RUNTIME)
    return f"images were left out: {problems}" if problems else ""


def _json_kind(file: str, read: Callable[[Path], object]) -> Kind:
    def opened(folder: Path) -> str:
        with reading(folder / file):
            read(folder)
        return ""

    return Kind(file, _build_results("pca"), opened, JSON)


def _evaluated(folder: Path) -> str:
    _evaluate(folder, "pca")
    metrics = read_json(folder / "results/digits/pca/metrics.json")
    wrong = [key for key in ("auroc", "tpr", "ece") if not 0 <= (metrics[key] or 0) <= 1]
    return f"{', '.join(wrong)} outside [0, 1]" if wrong else ""


def _evaluated_arrays(folder: Path) -> str:
    read_predictions(
        folder / "results/digits/pca/predictions.h5",
        *("scores", "mc", "maps", "reconstruction", "synthetic"),
    )
    return _evaluated(folder)


def _read_everything(folder: Path) -> str:
    """Read the files of a method as tables and figures do."""
    method = folder / "results/digits/pca"
    for read in (read_metrics, read_test_scores, read_attempts, costs):
        read(method)
    dataset_note(method.parent)
    return ""


def _recommended(folder: Path) -> str:
    write_recommendation(folder / "results/digits", ["pca"])
    return ""


def _refit(folder: Path) -> str:
    """Fit a control on a damaged cache, split or plan."""
    digits = folder / "results/digits"
    files = ExperimentFiles(digits / "dataset.h5", digits / "split.json", digits / "plan.json")
    method = _methods(pca=_FITTED["pca"])["pca"]
    run_fit(method, Job(files, folder / "fitted", folder / "work", _RUNTIME))
    return ""


def _prepared(folder: Path) -> str:
    digits = folder / "results/digits"
    prepare(
        digits / "dataset.h5",
        digits / "dataset.json",
        plan_json=folder / "plan.json",
        split_json=folder / "split.json",
    )
    return ""


def _score_pca(folder: Path) -> str:
    return _score(folder, "pca")


_PCA = _build_results("pca")


def _applied(name: str) -> Callable[[Path], str]:
    """Score the images of the split with a fitted method, as its job does."""

    def opened(folder: Path) -> str:
        digits = folder / "results/digits"
        method = resolve_methods({name: _FITTED[name]})[name]
        run_score(method, digits / "dataset.h5", digits / "split.json", digits / name, _RUNTIME)
        return ""

    return opened


RESULTS = {
    "dataset_cache": Kind(
        "results/digits/dataset.h5",
        _PCA,
        lambda folder: _faults_of(folder / "results/digits/dataset.h5"),
        HDF5,
    ),
    "dataset_cache_in_use": Kind("results/digits/dataset.h5", _PCA, _refit, HDF5),
    "dataset_json": Kind("results/digits/dataset.json", _PCA, _prepared, JSON),
    "predictions": Kind("results/digits/pca/predictions.h5", _PCA, _evaluated_arrays, HDF5),
    "split": Kind("results/digits/split.json", _PCA, _refit, JSON),
    "split_evaluated": Kind("results/digits/split.json", _PCA, _evaluated, JSON),
    "plan": Kind("results/digits/plan.json", _PCA, _refit, JSON),
    "fit": Kind("results/digits/pca/fit.json", _PCA, _score_pca, JSON),
    "threshold": Kind("results/digits/pca/threshold.json", _PCA, _score_pca, JSON),
    "threshold_recommended": Kind("results/digits/pca/threshold.json", _PCA, _recommended, JSON),
    "recommended": Kind(
        "results/digits/recommended.json", _PCA, lambda folder: _score(folder, ""), JSON
    ),
    "metrics": Kind("results/digits/pca/metrics.json", _PCA, _read_everything, JSON),
    "scoring": Kind("results/digits/pca/scoring.json", _PCA, _read_everything, JSON),
    "scores_csv": Kind("results/digits/pca/scores.csv", _PCA, _read_everything, BYTES),
    "model_pca": Kind("results/digits/pca/model.npz", _PCA, _applied("pca"), NPZ, named="pca"),
    "model_mean_image": Kind(
        "results/digits/mean_image/model.npz",
        _build_results("mean_image"),
        _applied("mean_image"),
        NPZ,
        named="mean_image",
    ),
    "model_pixel_std": Kind(
        "results/digits/pixel_std/model.npz",
        _build_results("pixel_std"),
        _applied("pixel_std"),
        NPZ,
        named="pixel_std",
    ),
    "model_regression": Kind(
        "results/digits/pixels/regression.npz",
        _build_results("pixels"),
        _applied("pixels"),
        NPZ,
        named="pixels",
    ),
    "model_network": Kind(
        "results/digits/dual/model.keras",
        _build_results("dual"),
        _applied("dual"),
        KERAS,
        named="dual",
        tensorflow=True,
    ),
    "model_residuals": Kind(
        "results/digits/dual/residuals.npz",
        _build_results("dual"),
        _applied("dual"),
        NPZ,
        named="dual",
        tensorflow=True,
    ),
}


# Exported detectors


def _build_export(name: str) -> Callable[[Path], None]:
    """Writes `parts.dualad`, beside the results and the images of `_build_results`."""

    def build(folder: Path) -> None:
        _build_results(name)(folder)
        export_detector(folder / "results/digits" / name, folder / "parts.dualad")

    return build


def _open_export(folder: Path) -> str:
    """Score two images, as `dualad score` does."""
    problems = score_folder(folder / "parts.dualad", folder / "images", folder / "scored", _RUNTIME)
    return f"images were left out: {problems}" if problems else ""


def _within(member: str, damages: Mapping[str, Damage]) -> Mapping[str, Damage]:
    """The same damages to a member of an export, which has right checksums nevertheless."""

    def damaged(damage: Damage, content: bytes, rng: np.random.Generator) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            members = {name: file.read(name) for name in file.namelist()}
        about = json.loads(members.pop(MANIFEST))
        members[member] = damage(members[member], rng)
        with tempfile.TemporaryDirectory() as folder:
            write_archive(Path(folder) / "parts.dualad", about, members)
            return (Path(folder) / "parts.dualad").read_bytes()

    return {name: partial(damaged, damage) for name, damage in damages.items()}


_EXPORT = _build_export("pca")
EXPORTS = {
    "export": Kind("parts.dualad", _EXPORT, _open_export, ZIP),
    "export_model": Kind("parts.dualad", _EXPORT, _open_export, _within("model.npz", NPZ)),
    "export_fit": Kind("parts.dualad", _EXPORT, _open_export, _within("fit.json", JSON)),
    "export_threshold": Kind(
        "parts.dualad", _EXPORT, _open_export, _within("threshold.json", JSON)
    ),
    "export_network": Kind(
        "parts.dualad",
        _build_export("dual"),
        _open_export,
        _within("model.keras", KERAS),
        tensorflow=True,
    ),
}


# Configurations

_CONFIG = {
    "datasets": {
        "bottle": {"reader": "mvtec", "path": "bottle", "protocol": "paper", "split_seed": 3},
        "digits": {"reader": "digits", "normal": [1]},
    },
    "methods": {
        "dual": {"family": "dual_autoencoder", "epochs": 10, "threshold": {"rule": "youden"}},
        "pca": {"family": "pca", "components": 8, "repeats": 2},
        "padim": {"family": "padim", "backbone": "efficientnet_lite0", "datasets": ["bottle"]},
    },
    "sweeps": {"dropout": {"method": "dual", "factor": "dropout", "values": [0.0, 0.5]}},
    "batch_search": {"method": "dual", "overrides": {"epochs": 3}},
    "defaults": {"dual_autoencoder": {"encoder_widths": [64, 16], "search": {"trials": 2}}},
    "image_size": 32,
    "evaluation": {"bootstrap": 20, "confidence": 0.9},
    "compute": {"threads": 2, "gpu": 0},
}


def _build_config(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(_CONFIG, indent=2))


def _open_config(folder: Path) -> str:
    """Read as the workflow does; whether it is JSON at all is Snakemake's business."""
    try:
        config = json.loads((folder / "config.json").read_text())
    except (ValueError, RecursionError):
        return ""
    # Snakemake takes mappings only.
    if isinstance(config, dict):
        Design.from_config(complete_config(config))
    return ""


CONFIGS = {"config": Kind("config.json", _build_config, _open_config, JSON, named="")}


# Weights of a backbone


def _build_weights(folder: Path) -> None:
    from dualad.methods.baselines.efficientnet_lite0 import packaged_weights

    # The beginning, in which the pickles are.
    (folder / "weights.pth").write_bytes(packaged_weights().read_bytes())


def _open_weights(folder: Path) -> str:
    from dualad.methods.baselines.efficientnet_lite0 import efficientnet_lite0

    efficientnet_lite0(str(folder / "weights.pth"), False, (32, 32, 3))
    return ""


WEIGHTS = {
    "torch_weights": Kind("weights.pth", _build_weights, _open_weights, TORCH, tensorflow=True)
}

KINDS: Mapping[str, Kind] = {
    **IMAGES,
    **DATASETS,
    **ARCHIVES,
    **RESULTS,
    **EXPORTS,
    **CONFIGS,
    **WEIGHTS,
}
