"""The paper's configuration at its full size, on generated images in the official layouts.

`make` writes one of the paper's eight datasets: the official folders, formats, image sizes and
numbers of images, procedural content. `run` makes one dataset after the other, takes it through the
workflow and gives its images' disk space back. `table` reads what every rule took and compares it
with what the rule declares.

    python bench/full_size.py make zipper /scratch/full/resources
    python bench/full_size.py run /scratch/full --datasets zipper rope --until metrics
    python bench/full_size.py table /scratch/full
    python bench/full_size.py project --teraflops 5.0 --bandwidth 192

Nothing can be learnt from these images; everything else is as in a run on the real ones.
"""

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from dualad.data.plan import make_plan

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "config/paper.yaml"

ONE_EPOCH = """
defaults:
  dual_autoencoder: &short
    epochs: 1
    attempts: 1
    early_stopping: false
    divergence_factor: 1000
    search: {trials: 1, epochs: 1}
  dual_features: *short
  adpr: {epochs: 1}
  cflow: {steps: 10}
  citn: {epochs: 1}
  cs_flow: {epochs: 1}
  cutpaste: {steps: 10}
  mpde: {epochs: 1}
  simplenet: {steps: 10}
  utrad: {epochs: 1}
sweeps:
  epochs: {values: [1]}
batch_search: {overrides: {epochs: 1}}
"""
"""One epoch or ten steps of training and one trial of search, so that every stage runs once.
Nothing has learnt to reconstruct by then, which must not count as divergence."""

Pixels = npt.NDArray[np.uint8]


class Size(NamedTuple):
    """Of images, in pixels."""

    height: int
    width: int


@dataclass(frozen=True)
class Picture:
    """One image to write, and its mask if it has one.

    Attributes
    ----------
    path, mask
        Where they go.
    number
        Seeds the content; no two pictures of a dataset have the same.
    anomalous
        Whether it has a defect, of which the mask is white.
    """

    path: Path
    number: int
    anomalous: bool = False
    mask: Path | None = None


@dataclass(frozen=True)
class Layout:
    """An official layout.

    Attributes
    ----------
    pictures
        Lists what to write below a folder.
    size
        Of the images.
    color
        Whether they are in colour.
    archive
        The folder of the download in `resources/` that holds the dataset.
    """

    pictures: Callable[[Path], Iterator[Picture]]
    size: Size
    archive: str
    color: bool = False


def _classes(
    root: Path,
    counts: Mapping[str, int],
    name: str,
    mask: str = "",
) -> Iterator[Picture]:
    """Pictures of folders of classes.

    Parameters
    ----------
    root
        The dataset's folder.
    counts
        Number of images by folder.
    name, mask
        Paths of an image and of its mask, with `{folder}`, `{label}` (the folder's last part) and
        `{i}`.
    """
    number = 0
    for folder, count in counts.items():
        label = folder.split("/")[-1]
        anomalous = label != "good"
        for i in range(count):
            names = {"folder": folder, "label": label, "i": i, "patient": i // 20, "slice": i % 20}
            path, of_mask = (root / text.format(**names) for text in (name, mask))
            yield Picture(path, number, anomalous, of_mask if mask and anomalous else None)
            number += 1


def _mvtec(
    category: str, train: int, good: int, **defects: int
) -> Callable[..., Iterator[Picture]]:
    counts = {"train/good": train, "test/good": good}
    counts |= {f"test/{defect}": count for defect, count in defects.items()}
    return lambda resources: _classes(
        resources / "mvtec_ad" / category,
        counts,
        "{folder}/{i:03d}.png",
        "ground_truth/{label}/{i:03d}_mask.png",
    )


def _brats(resources: Path) -> Iterator[Picture]:
    counts = {"train/good": 7500, "valid/good": 39, "valid/Ungood": 44}
    counts |= {"test/good": 640, "test/Ungood": 3075}
    name = "{patient:05d}_{slice}.png"
    root = resources / "bmad/BraTS2021"
    return _classes(root, counts, f"{{folder}}/img/{name}", f"{{folder}}/label/{name}")


def _oct(resources: Path) -> Iterator[Picture]:
    counts = {"train/good": 26315, "val/good": 8, "val/Ungood": 24}
    counts |= {"test/good": 242, "test/Ungood": 726}
    return _classes(resources / "bmad/OCT2017", counts, "{folder}/{label}-{patient}-{slice}.jpeg")


def _rope(resources: Path) -> Iterator[Picture]:
    counts = {"train/good": 298, "validation/good": 33, "test/good": 32}
    counts |= {"test/contamination": 18, "test/cut": 17, "test/hole": 17, "test/open": 17}
    return _classes(
        resources / "mvtec_3d/rope", counts, "{folder}/xyz/{i:03d}.tiff", "{folder}/gt/{i:03d}.png"
    )


def _ped1(resources: Path) -> Iterator[Picture]:
    root = resources / "ucsd/UCSD_Anomaly_Dataset.v1p2/UCSDped1"
    for clip in range(1, 35):
        for frame in range(1, 201):
            path = root / f"Train/Train{clip:03d}/{frame:03d}.tif"
            yield Picture(path, 200 * clip + frame)
    for clip in range(1, 37):
        folder = root / f"Test/Test{clip:03d}"
        for frame in range(1, 201):
            anomalous = _first_anomalous(clip) <= frame <= _LAST_ANOMALOUS
            mask = folder.with_name(f"{folder.name}_gt") / f"{frame:03d}.bmp"
            number = 200 * (34 + clip) + frame
            # Ten clips have a mask for every frame.
            masked = mask if clip <= 10 else None
            yield Picture(folder / f"{frame:03d}.tif", number, anomalous, masked)


_LAST_ANOMALOUS = 180


def _first_anomalous(clip: int) -> int:
    """The anomalous frames of a test clip are this one to `_LAST_ANOMALOUS`."""
    return 60 + clip % 7


LAYOUTS: Mapping[str, Layout] = {
    "brats2021": Layout(_brats, Size(240, 240), "bmad/BraTS2021"),
    "oct2017": Layout(_oct, Size(496, 512), "bmad/OCT2017"),
    "ucsd_ped1": Layout(_ped1, Size(158, 238), "ucsd"),
    "zipper": Layout(
        _mvtec(
            *("zipper", 240, 32),
            broken_teeth=19,
            combined=16,
            fabric_border=17,
            fabric_interior=16,
            rough=17,
            split_teeth=18,
            squeezed_teeth=16,
        ),
        Size(1024, 1024),
        "mvtec_ad/zipper",
    ),
    "hazelnut": Layout(
        _mvtec("hazelnut", 391, 40, crack=18, cut=17, hole=18, print=17),
        Size(1024, 1024),
        "mvtec_ad/hazelnut",
        color=True,
    ),
    "metal_nut": Layout(
        _mvtec("metal_nut", 220, 22, bent=25, color=22, flip=23, scratch=23),
        Size(700, 700),
        "mvtec_ad/metal_nut",
        color=True,
    ),
    "rope": Layout(_rope, Size(400, 900), "mvtec_3d/rope"),
}
PNEUMONIA = {"train": (1214, 3494), "val": (135, 389), "test": (234, 390)}
"""Normal images and pneumonia of PneumoniaMNIST, 28x28, which is one file of arrays."""
DATASETS = (*LAYOUTS, "pneumoniamnist")


# Content


@cache
def _base(size: Size) -> Pixels:
    """A smooth pattern, which all images of a dataset have in common."""
    y, x = np.mgrid[: size.height, : size.width]
    waves = np.sin(x / 17) * np.cos(y / 23) + 0.5 * np.sin((x + 2 * y) / 41)
    return np.asarray((128 + 50 * waves).clip(0, 255), dtype=np.uint8)


def content(size: Size, number: int, anomalous: bool, seed: int) -> tuple[Pixels, Pixels]:
    """An image and its mask, uint8 (H, W): the pattern moved, a patch of noise, and a defect."""
    rng = np.random.default_rng([seed, number])
    image = np.roll(_base(size), rng.integers(-4, 5, size=2), axis=(0, 1))
    side = min(size) // 4
    y, x = (int(rng.integers(extent - side)) for extent in size)
    image[y : y + side, x : x + side] ^= rng.integers(0, 8, (side, side), dtype=np.uint8)
    mask = np.zeros(size, dtype=np.uint8)
    if anomalous:
        mask[y : y + side, x : x + side] = 255
        image = np.where(mask > 0, 255 - image, image)
    return image, mask


def write_picture(picture: Picture, size: Size, color: bool, seed: int) -> None:
    """Write an image, in the format of its name, and its mask."""
    image, mask = content(size, picture.number, picture.anomalous, seed)
    picture.path.parent.mkdir(parents=True, exist_ok=True)
    if picture.path.suffix == ".tiff":
        # Coordinates in metres; a rim of points that the sensor missed.
        depth = 0.3 + image.astype(np.float32) / 2550
        depth[:20] = 0
        tifffile.imwrite(picture.path, np.repeat(depth[..., None], 3, axis=-1))
    else:
        shown = np.stack([image, image[::-1], image], axis=-1) if color else image
        Image.fromarray(shown).save(picture.path, **_options(picture.path))
    if picture.mask is not None:
        picture.mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(picture.mask, **_options(picture.mask))


def _options(path: Path) -> dict[str, int]:
    """What makes Pillow write fast."""
    return {".png": {"compress_level": 1}, ".jpeg": {"quality": 85}}.get(path.suffix, {})


def make(dataset: str, resources: Path, seed: int, workers: int) -> None:
    """Write a dataset into the folder where the workflow's download would put it."""
    if dataset == "pneumoniamnist":
        _make_pneumonia(resources / dataset, seed)
        return
    layout = LAYOUTS[dataset]
    write = partial(write_picture, size=layout.size, color=layout.color, seed=seed)
    with ProcessPoolExecutor(workers) as pool:
        for _ in pool.map(write, layout.pictures(resources), chunksize=64):
            pass
    if dataset == "ucsd_ped1":
        _write_frame_labels(resources)


def _make_pneumonia(folder: Path, seed: int) -> None:
    arrays: dict[str, Pixels] = {}
    number = 0
    for split, counts in PNEUMONIA.items():
        labels = np.repeat(np.array([0, 1], dtype=np.uint8), counts)
        images = []
        for label in labels:
            images.append(content(Size(28, 28), number, bool(label), seed)[0])
            number += 1
        arrays |= {f"{split}_images": np.stack(images), f"{split}_labels": labels[:, None]}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "pneumoniamnist.npz", **arrays)


def _write_frame_labels(resources: Path) -> None:
    lines = ["TestVideoFile = {};"]
    for clip in range(1, 37):
        frames = f"[{_first_anomalous(clip)}:{_LAST_ANOMALOUS}]"
        lines.append(f"TestVideoFile{{end+1}}.gt_frame = {frames};")
    root = resources / "ucsd/UCSD_Anomaly_Dataset.v1p2/UCSDped1"
    (root / "Test/UCSDped1.m").write_text("\n".join(lines) + "\n")


# Running


def run(folder: Path, datasets: Sequence[str], until: str, seed: int, arguments: list[str]) -> None:
    """Make each dataset, take it through the workflow, and give back its disk space."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "one_epoch.yaml").write_text(ONE_EPOCH)
    for dataset in datasets:
        targets = [path.format(dataset=dataset) for path in UNTIL[until]]
        cached = folder / "results" / dataset / "split.json"
        if not cached.exists():
            make(dataset, folder / "resources", seed, os.cpu_count() or 1)
        snakemake(folder, *arguments, "--", *targets)
        hollow(folder / "resources", dataset)


UNTIL: Mapping[str, Sequence[str]] = {
    "split": [
        *("results/{dataset}/split.json", "results/{dataset}/shift.json"),
        *(f"results/{{dataset}}/colour{size}.h5" for size in (64, 128, 224)),
    ],
    "metrics": [
        f"results/{{dataset}}/{method}/metrics.json"
        for method in ("dual", "dual_plus", "mean_image", "pca", "pixel_std")
    ],
    "features": [
        f"results/{{dataset}}/{method}/metrics.json"
        for method in ("dual_features", "padim", "patchcore")
    ],
    "baselines": [
        f"results/{{dataset}}/{method}/metrics.json"
        for method in (
            *("adpr", "cflow", "citn", "cs_flow", "cutpaste", "mgad", "mpde", "simplenet"),
            *("utrad", "dual_hybrid", "pixels_supervised", "gradient", "brightness"),
        )
    ],
    "studies": [
        "results/{dataset}/batch_search/result.json",
        *(f"results/{{dataset}}/sweeps/{n}" for n in ("seed", "batch_size", "epochs", "dropout")),
    ],
}
"""Targets of each stage of a run. Only `split` makes every cache; the images are gone afterwards.
`config/paper.yaml` has sweeps of BraTS2021 and hazelnut only; the stage `studies` makes them of
whatever dataset is named."""


def snakemake(folder: Path, *arguments: str) -> None:
    """Run the workflow with the paper's configuration in a folder, one job at a time."""
    configs = [str(CONFIG), str(folder / "one_epoch.yaml")]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--workflow-profile", "none", "--rerun-incomplete"]
    command += ["--cores", "2", "--resources", "gpu=1", "--nocolor", "--configfile", *configs]
    subprocess.run([*command, *arguments], check=True)


def hollow(resources: Path, dataset: str) -> None:
    """Give back the disk space of a dataset's files, which keep names, sizes and times.

    The workflow knows the source of a cache by these, and so does not look for it again.
    """
    archive = LAYOUTS[dataset].archive if dataset in LAYOUTS else dataset
    for path in (resources / archive).rglob("*"):
        if path.is_file():
            state = path.stat()
            with path.open("wb") as file:
                file.truncate(state.st_size)
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


# What the rules took


def table(folder: Path) -> str:
    """Wall time and peak memory of every rule against what it declares, as a table in Markdown."""
    lines = ["| rule | jobs | longest (s) | dataset | declared (min) | peak (MB) | declared (MB) |"]
    lines.append("|---|---|---|---|---|---|---|")
    declared = declarations(folder)
    for rule, jobs in sorted(benchmarks(folder, declared).items()):
        slowest = max(jobs, key=lambda job: job.seconds)
        peak = max(job.memory_mb for job in jobs)
        runtime, memory = declared.get(rule, ("", ""))
        cells = [rule, len(jobs), f"{slowest.seconds:.0f}", slowest.dataset, runtime]
        lines.append(f"| {' | '.join(map(str, [*cells, f'{peak:.0f}', memory]))} |")
    return "\n".join(lines)


class Measured(NamedTuple):
    """What a job took, from its benchmark file."""

    dataset: str
    seconds: float
    memory_mb: float


def benchmarks(folder: Path, rules: Container[str]) -> dict[str, list[Measured]]:
    """Jobs by rule, of which all names are given."""
    found: dict[str, list[Measured]] = {}
    root = folder / "results/benchmarks"
    for path in sorted(root.rglob("*.tsv")):
        with path.open() as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        dataset = path.relative_to(root).parts[0]
        if dataset == "download" or path.parent.name == "share":
            # The archives are there already; `cp` is no job to measure.
            continue
        stem = re.sub(r"\d+$", "", path.stem)
        # A baseline is called as its family, after which its rule is called.
        names = (f"{stem}_{path.parent.name}", f"sweep_{stem}", f"{stem}_images", stem)
        rule = next((name for name in names if name in rules), stem)
        memory = 0.0 if row["max_rss"] in ("-", "NA") else float(row["max_rss"])
        found.setdefault(rule, []).append(Measured(dataset, float(row["s"]), memory))
    return found


def declarations(folder: Path) -> dict[str, tuple[str, str]]:
    """Minutes and megabytes that each rule declares, from a dry run of everything."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--workflow-profile", "none", "--cores", "2"]
    command += ["--configfile", str(CONFIG), "--nocolor", "--dry-run", "--forceall"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    blocks = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", said, re.M)
    found = {}
    for rule, block in blocks:
        runtime, memory = (re.search(rf"\b{key}=(\d+)", block) for key in ("runtime", "mem_mb"))
        found[rule] = tuple(match[1] if match else "" for match in (runtime, memory))
    return found


# What a GPU would take

PARAMETERS = 36_814_352
IMAGES: Mapping[str, tuple[int, int, int]] = {
    "brats2021": (11298, 6109, 2151),
    "oct2017": (27315, 21092, 5423),
    "pneumoniamnist": (5856, 1030, 414),
    "ucsd_ped1": (13999, 5912, 2327),
    "zipper": (391, 198, 72),
    "hazelnut": (501, 319, 94),
    "metal_nut": (335, 180, 63),
    "rope": (432, 249, 76),
}
"""All images, and how many of them an attempt trains and validates on, by the paper's protocol."""
TRIALS, TRIAL_EPOCHS = 20, 50
ATTEMPTS, EPOCHS = 10, 1000
"""Of a search and of a training at most, by the defaults of the configuration."""
EFFICIENCY = 0.6
"""Share of a card's peak rates that large products and copies reach."""


def step_seconds(batch: int, teraflops: float, bandwidth: float) -> float:
    """Time of a training step: two products forward, four backward, and Adam's memory traffic.

    Parameters
    ----------
    batch
        Images.
    teraflops, bandwidth
        Peak rates of the card: float32 arithmetic, and memory in GB/s.
    """
    arithmetic = 6 * PARAMETERS * batch / (teraflops * 1e12)
    # Weights are read three times; Adam reads four arrays of that size and writes three.
    traffic = 10 * 4 * PARAMETERS / (bandwidth * 1e9)
    return (arithmetic + traffic) / EFFICIENCY


def projection(teraflops: float, bandwidth: float) -> str:
    """Hours that search and training take at most, for one method on each dataset."""
    lines = ["| dataset | batch | steps an epoch | ms a step | search (h) | training (h) |"]
    lines.append("|---|---|---|---|---|---|")
    for dataset, (n_images, n_train, n_validation) in IMAGES.items():
        batch = make_plan(n_images, n_train).batch_size
        steps = -(-n_train // batch)
        step = step_seconds(batch, teraflops, bandwidth)
        validation = 2 * PARAMETERS * n_validation / (teraflops * 1e12) / EFFICIENCY
        hours = [
            trials * epochs * (steps * step + validation) / 3600
            for trials, epochs in ((TRIALS, TRIAL_EPOCHS), (ATTEMPTS, EPOCHS))
        ]
        cells = [dataset, batch, steps, f"{1000 * step:.0f}", *(f"{hour:.2f}" for hour in hours)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _options_of_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make")
    maker.add_argument("dataset", choices=DATASETS)
    maker.add_argument("resources", type=Path)
    runner = commands.add_parser("run")
    runner.add_argument("folder", type=Path)
    runner.add_argument("--datasets", nargs="+", choices=DATASETS, default=DATASETS)
    runner.add_argument("--until", choices=UNTIL, default="metrics")
    for command in (maker, runner):
        command.add_argument("--seed", type=int, default=0)
    commands.add_parser("table").add_argument("folder", type=Path)
    projector = commands.add_parser("project")
    projector.add_argument("--teraflops", type=float, default=5.0)
    projector.add_argument("--bandwidth", type=float, default=192)
    return parser.parse_args()


if __name__ == "__main__":
    options = _options_of_command()
    if options.command == "make":
        shutil.rmtree(options.resources / options.dataset, ignore_errors=True)
        make(options.dataset, options.resources, options.seed, os.cpu_count() or 1)
    elif options.command == "run":
        run(options.folder.resolve(), options.datasets, options.until, options.seed, [])
    elif options.command == "table":
        print(table(options.folder))
    else:
        print(projection(options.teraflops, options.bandwidth))
