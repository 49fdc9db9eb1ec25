"""The job that plans and splits."""

from pathlib import Path

import pytest

from dualad.data.preparation import prepare
from dualad.errors import DualadError


def test_a_rule_without_the_images_that_it_needs_is_refused_before_training(
    build, mvtec, tmp_path: Path
) -> None:
    dataset, _ = build({"reader": "mvtec", "path": str(mvtec)})
    files = {"plan_json": tmp_path / "plan.json", "split_json": tmp_path / "split.json"}
    cache = (dataset.path, dataset.path.with_suffix(".json"))
    with pytest.raises(DualadError, match=r"threshold\.rule: youden needs anomalous images.*toy"):
        prepare(*cache, **files, protocol="official", threshold_rules=["youden"])
    assert not (tmp_path / "plan.json").exists()
    _, split = prepare(*cache, **files, protocol="official")
    assert not split.validation_anomalous


def test_too_few_validation_normals_are_refused_before_training(
    build, mvtec, tmp_path: Path
) -> None:
    dataset, _ = build({"reader": "mvtec", "path": str(mvtec)})
    files = {"plan_json": tmp_path / "plan.json", "split_json": tmp_path / "split.json"}
    cache = (dataset.path, dataset.path.with_suffix(".json"))
    _, split = prepare(*cache, **files, protocol="official")
    there = len(split.validation_normal)
    prepare(*cache, **files, protocol="official", validation_normals=there)
    (tmp_path / "plan.json").unlink()
    with pytest.raises(
        DualadError, match=rf"conformal needs {there + 1} normal .* leaves {there};.*toy\.valid"
    ):
        prepare(*cache, **files, protocol="official", validation_normals=there + 1)
    assert not (tmp_path / "plan.json").exists()
