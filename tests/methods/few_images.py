"""Experiments with very few normal images to train on."""

import json
from dataclasses import replace
from pathlib import Path

from dualad.data.plan import Plan, make_plan
from dualad.data.split import Split


def keep_few_training_images(folder: Path, out: Path, n: int) -> tuple[Path, Path]:
    """Write a split and a plan as those of a dataset, but with `n` training images.

    Parameters
    ----------
    folder
        Holds the dataset's `split.json` and `plan.json`.
    out
        Where the new ones go.
    n
        Number of normal images that remain for training.

    Returns
    -------
    split_json, plan_json
    """
    split = Split.from_json(json.loads((folder / "split.json").read_text()))
    plan = Plan.from_json(json.loads((folder / "plan.json").read_text()))
    few = replace(split, train=split.train[:n], reshuffle=False)
    split_json, plan_json = out / "split.json", out / "plan.json"
    split_json.write_text(json.dumps(few.to_json()))
    plan_json.write_text(json.dumps(make_plan(plan.n_images, n).to_json()))
    return split_json, plan_json
