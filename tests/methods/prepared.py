"""A dataset cached, planned and split, as the jobs of a method expect it."""

from pathlib import Path
from typing import Any

from dualad.data.cache import build_dataset
from dualad.data.preparation import prepare
from dualad.methods.jobs import ExperimentFiles


def prepare_experiment(entry: dict[str, Any], folder: Path, image_size: int) -> ExperimentFiles:
    """Cache the images of a `datasets` entry in a folder, plan and split them."""
    h5, description = folder / "dataset.h5", folder / "dataset.json"
    build_dataset("data", entry, h5, description, image_size=image_size)
    files = ExperimentFiles(h5, folder / "split.json", folder / "plan.json")
    prepare(h5, description, plan_json=files.plan_json, split_json=files.split_json)
    return files
