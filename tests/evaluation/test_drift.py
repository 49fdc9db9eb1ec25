"""New images that look unlike the normal ones as a whole are told from a share of anomalies."""

from pathlib import Path

import numpy as np
import pytest

from dualad.evaluation.drift import ALPHA, NormalImages, measure_drift

RNG = np.random.default_rng(0)


def drift(new: np.ndarray, name: str = "score", n: int = 60) -> dict[str, object]:
    return measure_drift({name: RNG.normal(size=n)}, {name: new})


def test_images_that_all_differ_are_warned_of_and_a_share_of_anomalies_is_not() -> None:
    assert str(drift(RNG.normal(3, 1, 40))["warning"]).startswith(
        "the new images as a whole are higher in score (AUROC 0.9"
    )
    anomalies = np.concatenate([RNG.normal(size=60), RNG.normal(8, 1, 40)])
    assert drift(anomalies)["warning"] == ""
    assert drift(np.array([8.0]))["warning"] == ""
    assert drift(RNG.normal(8, 1, 40), n=9)["tests"] == []


def test_lower_scores_are_those_of_images_trained_on_but_lower_statistics_count() -> None:
    low = RNG.normal(-4, 1, 40)
    assert drift(low)["warning"] == ""
    assert "are darker (AUROC " in str(drift(low, "brightness")["warning"])


def test_few_runs_on_normal_images_are_warned_of() -> None:
    warned = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        values = {name: rng.normal(size=(2, 15)) for name in ("score", "contrast", "gradient")}
        found = measure_drift(*({name: v[i] for name, v in values.items()} for i in (0, 1)))
        warned += bool(found["warning"])
    assert warned <= 2 * ALPHA * 300


def test_a_shifted_picture_is_further_from_the_mean_image() -> None:
    scene = RNG.random((12, 12))
    normals = np.clip(scene + RNG.normal(0, 0.02, (40, 12, 12)), 0, 1).astype(np.float32)
    reference = NormalImages.measure(normals)
    moved = np.roll(normals, 3, axis=2)
    found = measure_drift(reference.values, reference.statistics(moved))
    assert "further from the mean image (AUROC 1.00)" in found["warning"]
    assert found["n_images"] == {"validation": 40, "new": 40}
    # Left out of its own mean, a validation normal is as far from it as another one.
    again = np.clip(scene + RNG.normal(0, 0.02, (40, 12, 12)), 0, 1).astype(np.float32)
    assert measure_drift(reference.values, reference.statistics(again))["warning"] == ""


@pytest.mark.parametrize("shape", [(5, 6, 6), (5, 6, 6, 3)])
def test_the_reference_is_saved_and_read_back(shape: tuple[int, ...], tmp_path: Path) -> None:
    reference = NormalImages.measure(RNG.random(shape, dtype=np.float32))
    reference.save(tmp_path / "normals.npz")
    again = NormalImages.load(tmp_path / "normals.npz")
    np.testing.assert_array_equal(again.mean, reference.mean)
    assert again.mean.shape == (6, 6)
    for name, values in reference.values.items():
        np.testing.assert_array_equal(again.values[name], values)
