"""What the benchmarks of jobs share: an experiment on made images, and the child that runs a stage.

The images are smooth random fields, 80 % of them normal ones to train on; the anomalous ones have a
bright square.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dualad.data.cache import build_dataset
from dualad.data.preparation import prepare
from dualad.design.experiments import Method, resolve_methods
from dualad.methods.jobs import ExperimentFiles

SMALL = {"encoder_widths": [256, 128, 64, 32], "decoder_widths": [64, 128, 256]}
"""The default configuration's network."""


def make_images(folder: Path, n: int, size: int) -> None:
    """Write n different grey PNG files, as the reader `folder` expects them."""
    rng = np.random.default_rng(0)
    parts = {name: folder / name for name in ("train/good", "test/good", "test/square")}
    for path in parts.values():
        path.mkdir(parents=True)
    columns = np.linspace(0, np.pi, size)
    waves = np.stack([np.cos(order * columns) for order in range(6)])
    for i in range(n):
        field = waves.T @ rng.normal(size=(6, 6)) @ waves
        pixels = 128 + 15 * field + rng.normal(scale=4, size=(size, size))
        part = "train/good" if i % 10 < 8 else ("test/good" if i % 10 == 8 else "test/square")
        if part == "test/square":
            row, column = rng.integers(0, size - size // 6, 2)
            pixels[row : row + size // 6, column : column + size // 6] += 70
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(parts[part] / f"{i}.png")


def cache_images(folder: Path, size: int, workers: int = 2) -> None:
    """Cache the images of `make_images` in the folder above."""
    entry = {"reader": "folder", "path": str(folder / "images")}
    files = folder / "dataset.h5", folder / "dataset.json"
    build_dataset("made", entry, *files, image_size=size, workers=workers)


def plan_and_split(folder: Path) -> None:
    """Plan and split the cached images."""
    files = experiment_files(folder)
    prepare(
        files.dataset_h5,
        folder / "dataset.json",
        plan_json=files.plan_json,
        split_json=files.split_json,
    )


def make_experiment(folder: Path, n: int, size: int) -> ExperimentFiles:
    """Make n images and all files that an experiment starts from."""
    make_images(folder / "images", n, size)
    cache_images(folder, size)
    plan_and_split(folder)
    return experiment_files(folder)


def experiment_files(folder: Path) -> ExperimentFiles:
    """The files of the experiment in a folder."""
    return ExperimentFiles(folder / "dataset.h5", folder / "split.json", folder / "plan.json")


def dual(**changes: Any) -> Method:
    """The dual autoencoder with dropout 0.2, one attempt and what is changed."""
    entry = {"family": "dual_autoencoder", "dropout": 0.2, "attempts": 1, "early_stopping": False}
    return resolve_methods({"dual": {**entry, **changes}})["dual"]


def run_child(script: str, *arguments: object, **environment: str) -> dict[str, Any]:
    """Run a script in a new process.

    Returns
    -------
    dict
        What the script reported, the `seconds` that it took in all, and its `log`.
    """
    started = time.perf_counter()
    command = [sys.executable, script, *map(str, arguments)]
    run = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    if run.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{run.stderr}")
    found = json.loads(run.stdout.splitlines()[-1])
    return {**found, "seconds": time.perf_counter() - started, "log": run.stderr}


def report(**values: Any) -> None:
    """Print what a child found, with its peak memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**values, "peak_mb": peak}), flush=True)
