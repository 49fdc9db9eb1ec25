"""Small methods, fitted and evaluated on photographs that are made for the purpose."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from dualad.data.cache import build_dataset
from dualad.data.preparation import prepare
from dualad.design.experiments import resolve_methods
from dualad.evaluation.evaluator import evaluate
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


def write_photographs(folder: Path, n_train: int = 24) -> Path:
    """Photographs in folders, as someone's own data."""
    rng = np.random.default_rng(0)
    for part, count, shade in (
        ("train/good", n_train, 100),
        ("test/good", 10, 100),
        ("test/dark", 10, 30),
    ):
        (folder / part).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(shade, shade + 60, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / part / f"{i}.png")
    return folder


def finish_methods(folder: Path, images: Path, names: Iterable[str] = METHODS) -> Path:
    """Fit and evaluate methods; their results are in `folder`, as in `results/own`."""
    h5, plan, split = (folder / name for name in ("dataset.h5", "plan.json", "split.json"))
    entry = {"reader": "folder", "path": str(images)}
    build_dataset("own", entry, h5, folder / "dataset.json", image_size=12)
    colour = folder / "colour30.h5"
    build_dataset("own", entry, colour, folder / "colour30.json", image_size=30, color=True)
    MODULE.write_text(RED)
    prepare(h5, folder / "dataset.json", plan_json=plan, split_json=split)
    for name in names:
        method, out, runtime = METHODS[name], folder / name, Runtime()
        seen = colour if method.input_size else h5
        run_fit(method, Job(ExperimentFiles(seen, split, plan), out, out / "work", runtime))
        run_score(method, seen, split, out, runtime, map_size=12)
        evaluate(h5, split, out / "predictions.h5", method.params, name, out, bootstrap=10)
    return folder
