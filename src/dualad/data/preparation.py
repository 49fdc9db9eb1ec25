"""Plan and split of a cached dataset, written to its results folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from dualad.data.dataset import Dataset
from dualad.data.plan import Plan, Seeds, make_plan
from dualad.data.split import Split, make_split
from dualad.errors import DualadError
from dualad.files import read_json, reading, write_json


def prepare(
    dataset_h5: Path,
    dataset_json: Path,
    *,
    plan_json: Path,
    split_json: Path,
    protocol: str = "paper",
    test_fraction: float | None = None,
    validation_fraction: float = 0.2,
    split_seed: int | Literal["dynamic"] = "dynamic",
    threshold_rules: Sequence[str] = (),
    validation_normals: int = 0,
) -> tuple[Plan, Split]:
    """Fix a dataset's test set, seeds and batch size.

    Parameters
    ----------
    dataset_h5, dataset_json
        The cached images and their description.
    plan_json, split_json
        Where the results go.
    protocol, test_fraction, validation_fraction
        As for `dualad.data.split.make_split`.
    split_seed
        Seed of the hold-out; `dynamic` is the plan's NumPy seed (eq. 24).
    threshold_rules
        Rules of the methods on this dataset that need anomalous images in the validation set.
    validation_normals
        Fewest normal images in the validation set that the methods on this dataset need.

    Raises
    ------
    DualadError
        If the cache is damaged, or the protocol leaves a set without the images that it needs.
    """
    with reading(dataset_json):
        content_sha256 = str(read_json(dataset_json)["content_sha256"])
    with Dataset(dataset_h5) as dataset:
        table, name = dataset.table, dataset.name
    seed = Seeds.dynamic(len(table)).numpy if split_seed == "dynamic" else split_seed
    split = make_split(
        table,
        protocol,
        seed,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        name=name,
        content_sha256=content_sha256,
    )
    if threshold_rules and not split.validation_anomalous:
        raise DualadError(
            f"{name}: threshold.rule: {', '.join(threshold_rules)} needs anomalous images in the "
            f"validation set, and the protocol {protocol!r} leaves none; give all methods on this "
            "dataset `threshold: {rule: quantile}` or `threshold: {rule: conformal}`, which need "
            f"normal images only, or choose another datasets.{name}.protocol"
        )
    normals = len(split.attempt(1, seed)[1]) - len(split.validation_anomalous)
    if normals < validation_normals:
        raise DualadError(
            f"{name}: threshold.rule: conformal needs {validation_normals} normal images in the "
            f"validation set for the wanted threshold.alpha, and the protocol {protocol!r} leaves "
            f"{normals}; add normal images, raise datasets.{name}.validation_fraction, or raise "
            f"alpha to at least 1 / {normals + 1}"
        )
    plan = make_plan(len(table), len(split.train))
    write_json(split_json, split.to_json())
    write_json(plan_json, plan.to_json())
    return plan, split
