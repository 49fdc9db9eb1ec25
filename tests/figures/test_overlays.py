"""Anomaly maps over new images, on the scale of the validation normals."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from dualad.data.dataset import Dataset
from dualad.errors import DualadError
from dualad.figures.evidence import gather
from dualad.figures.heat import HeatScale, normals_scale
from dualad.figures.overlays import overlay_picture, validation_scale

SCALE = HeatScale(floor=1.0, cutoff=2.0)


def test_the_cutoff_has_the_middle_colour_and_the_floor_none():
    heat = SCALE.heat(np.array([0.0, 1.0, 1.5, 2.0, 3.0, 5.0, 33.0, 99.0]))
    assert heat.tolist() == pytest.approx([0, 0, 0.25, 0.5, 0.6, 0.7, 1, 1])


def test_what_exceeds_the_cutoff_by_a_rounding_error_is_above_the_middle():
    assert SCALE.heat(np.array([np.nextafter(2.0, 3.0)]))[0] > 0.5


def test_maps_without_spread_are_hot_only_above_the_cutoff():
    scale = normals_scale(np.full((2, 3, 3), 4.0, dtype=np.float32))
    assert scale.heat(np.array([3.9, 4.0, 4.1])).tolist() == [0.0, 0.5, 1.0]


def test_new_images_have_the_scale_of_the_figures(tree, results):
    plus = results[1]
    with Dataset(tree["brick"][0].parent / "dataset.h5") as dataset:
        expected = gather(dataset, plus, plus.test.head(1)).scale
    found = validation_scale(plus.folder, "blurred_z")
    assert (found.floor, found.cutoff) == pytest.approx((expected.floor, expected.cutoff))
    assert validation_scale(plus.folder, "no such map") is None


def test_results_of_two_runs_have_no_scale(results, tmp_path):
    plus = results[1]
    for name in ("predictions.h5", "scores.csv"):
        (tmp_path / name).write_bytes((plus.folder / name).read_bytes())
    text = (tmp_path / "scores.csv").read_text()
    (tmp_path / "scores.csv").write_text(text.replace(",val,", ",test,", 1))
    with pytest.raises(DualadError, match="have other validation images"):
        validation_scale(tmp_path, "blurred_z")


def test_the_map_is_stretched_over_the_whole_image(tmp_path: Path):
    """The defect is in the right third of a wide image, as in the map of the square one."""
    Image.fromarray(np.full((100, 300), 100, dtype=np.uint8)).save(tmp_path / "wide.png")
    anomaly_map = np.zeros((6, 6), dtype=np.float32)
    anomaly_map[:, 4:] = 9
    picture = overlay_picture(tmp_path / "wide.png", anomaly_map, SCALE, color=False)
    pixels = np.asarray(picture).astype(int)
    assert pixels.shape == (100, 300, 3)
    assert (pixels[:, :180] == 100).all()
    assert (np.ptp(pixels[:, 240:], axis=2) > 50).all()


def test_depth_images_keep_their_proportions(tmp_path: Path):
    points = np.zeros((20, 40, 3), dtype=np.float32)
    points[..., 2] = 0.55
    tifffile.imwrite(tmp_path / "depth.tiff", points, photometric="rgb")
    picture = overlay_picture(
        tmp_path / "depth.tiff",
        np.zeros((5, 5), dtype=np.float32),
        SCALE,
        color=False,
        depth_range=(0.1, 1.0),
    )
    assert picture.size == (280, 140)
    # 0.55 of 0.1 to 1 is the middle of [0.1, 1].
    np.testing.assert_allclose(np.asarray(picture), 255 * 0.55, atol=1)
