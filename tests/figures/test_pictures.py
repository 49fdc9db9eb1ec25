import shutil
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest

from dualad.data.dataset import Dataset
from dualad.errors import DualadError
from dualad.evaluation.examples import spread_over_defects
from dualad.evaluation.maps import resized_maps
from dualad.evaluation.predictions import read_predictions, write_predictions
from dualad.figures.evidence import Evidence, gather, normalised
from dualad.figures.heat import MASK_QUANTILE, grey, overlay
from dualad.figures.localisation import (
    COLUMNS,
    localisation_columns,
    localisation_figure,
    mask_caption,
)
from dualad.figures.mistakes import false_negatives, false_positives, mistakes_figure, overlay_tiles
from dualad.figures.mosaic import outlined


@pytest.fixture
def dataset(tree):
    with Dataset(tree["brick"][0].parent / "dataset.h5") as opened:
        yield opened


def test_normalised_maps_fill_the_unit_range():
    maps = np.random.default_rng(0).normal(size=(3, 4, 4))
    stretched = normalised(maps)
    assert stretched.min(axis=(1, 2)) == pytest.approx(0)
    assert stretched.max(axis=(1, 2)) == pytest.approx(1)
    assert np.all(normalised(np.ones((1, 2, 2))) == 0)


def test_rows_are_spread_over_defects_whatever_the_scores(results):
    chosen = [spread_over_defects(method.test, 5) for method in results]
    assert chosen[0]["defect"].value_counts().to_dict() == {"scratch_deep": 3, "spot": 2}
    for other in chosen[1:]:
        assert list(other["image"]) == list(chosen[0]["image"])


def test_spread_over_fewer_images_than_asked_for():
    test = pd.DataFrame({"label": [1, 0], "image": ["b", "a"], "defect": ["x", "good"]})
    assert list(spread_over_defects(test, 4)["image"]) == ["b"]


def test_gather_lines_up_images_masks_and_maps(dataset, results):
    plus = results[1]
    rows = spread_over_defects(plus.test, 3).iloc[::-1].reset_index(drop=True)
    evidence = gather(dataset, plus, rows)
    sources = list(dataset.table["source"])
    for i, source in enumerate(rows["image"]):
        at = [sources.index(source)]
        assert np.array_equal(evidence.image[i], dataset.images(at)[0])
        assert np.array_equal(evidence.truth[i], dataset.masks(at)[0])
    assert evidence.map_name == "blurred_z"
    assert evidence.predicted.shape == evidence.image.shape
    # 1 % of the validation normals' pixels lie above the cut-off, and more of a defect's.
    assert evidence.predicted[np.stack(evidence.truth)].mean() > 0.05


@pytest.fixture
def partly_masked(tree, results, tmp_path):
    """The dataset of which one anomalous image has lost its mask, and the rows of two images."""
    path = shutil.copy(tree["brick"][0].parent / "dataset.h5", tmp_path)
    rows = spread_over_defects(results[1].test, 2)
    with h5py.File(path, "r+") as file:
        sources = list(file["source"].asstr()[:])
        file["mask_index"][sources.index(rows["image"][1])] = -1
    with Dataset(path) as opened:
        yield opened, rows


def test_an_image_without_a_mask_has_none_whatever_the_others_have(partly_masked, results):
    dataset, rows = partly_masked
    normal = results[1].test.query("label == 0").head(1)
    evidence = gather(dataset, results[1], pd.concat([rows, normal], ignore_index=True))
    assert evidence.truth[0].any() and evidence.truth[1] is None
    # A normal image needs none: nothing in it is anomalous.
    assert evidence.truth[2].shape == evidence.image.shape[1:] and not evidence.truth[2].any()
    masks = localisation_columns(evidence)["true mask"]
    assert masks[0].min() == 0 and masks[1].min() > 0.5 and masks[2].max() == 0
    assert [mask_caption(evidence, row) for row in range(3)] == ["", "no mask given", ""]


def test_an_empty_mask_of_an_anomalous_image_is_said(dataset, results):
    evidence = gather(dataset, results[1], spread_over_defects(results[1].test, 2))
    blackened = replace(evidence, truth=[evidence.truth[0], np.zeros_like(evidence.truth[1])])
    assert [mask_caption(blackened, row) for row in range(2)] == ["", "mask is empty"]
    assert mask_caption(replace(evidence, truth=None), 0) == ""


def test_a_missing_mask_is_said_and_not_drawn_black(partly_masked, results):
    dataset, rows = partly_masked
    figure = localisation_figure(gather(dataset, results[1], rows), "a title")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("no mask given") == 1
    mistakes = mistakes_figure(gather(dataset, results[1], rows), 0.3, "a title")
    picture = np.asarray(mistakes.axes[0].images[0].get_array())
    cyan = (picture == (0, 255, 255)).all(axis=2)
    half = picture.shape[1] // 2
    assert cyan[:, :half].any() and not cyan[:, half:].any()


def test_the_mask_that_is_drawn_is_the_map_that_was_measured(dataset, results, tmp_path):
    plus = results[1]
    coarse = shutil.copytree(plus.folder, tmp_path / "dual_plus")
    predictions = read_predictions(plus.predictions_h5, "scores", "maps")
    maps = predictions.maps["blurred_z"][:, ::2, ::2]
    write_predictions(coarse / "predictions.h5", replace(predictions, maps={"blurred_z": maps}))
    rows = spread_over_defects(plus.test, 3)
    evidence = gather(dataset, replace(plus, folder=coarse), rows)
    sources = list(dataset.table["source"])
    at = [list(predictions.index).index(sources.index(source)) for source in rows["image"]]
    size = evidence.image.shape[1:]
    assert np.array_equal(evidence.anomaly_map, resized_maps(maps[at], size))
    normals = (predictions.split == "val") & (dataset.table["label"][predictions.index] == 0)
    cutoff = np.quantile(resized_maps(maps[normals.to_numpy()], size), MASK_QUANTILE)
    assert evidence.scale.cutoff == pytest.approx(cutoff)


def test_gather_falls_back_on_the_squared_error(dataset, results):
    evidence = gather(dataset, results[0], results[0].test.head(2))
    assert evidence.map_name == "squared error"
    assert np.allclose(evidence.anomaly_map, evidence.error)


def test_gather_names_an_image_of_another_dataset(dataset, results):
    rows = results[0].test.head(2).assign(image=["test/good/000.png", "elsewhere.png"])
    with pytest.raises(DualadError, match=r"'elsewhere\.png'.*not in dataset brick"):
        gather(dataset, results[0], rows)


def test_localisation_columns_follow_what_there_is(dataset, results):
    plus = results[1]
    evidence = gather(dataset, plus, spread_over_defects(plus.test, 2))
    assert [title.split("\n")[0] for title in localisation_columns(evidence)] == list(COLUMNS)
    bare = Evidence(evidence.rows, evidence.image)
    assert list(localisation_columns(bare)) == ["input"]


def test_localisation_figure_names_defect_and_verdict(dataset, results):
    plus = results[1]
    figure = localisation_figure(
        gather(dataset, plus, spread_over_defects(plus.test, 2)), "a title", "a note"
    )
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert any(text.startswith("scratch_deep\nscore") for text in texts)
    assert "99% quantile" in figure.texts[-1].get_text() and "a note" in figure.texts[-1].get_text()


def test_mistakes_come_worst_first(results):
    method = results[-1]
    flagged = false_positives(method.test, method.cutoff)
    missed = false_negatives(method.test, method.cutoff)
    assert len(flagged) == method.metrics["counts"]["fp"]
    assert len(missed) == method.metrics["counts"]["fn"]
    assert flagged["score"].is_monotonic_decreasing
    assert missed["score"].is_monotonic_increasing


def test_mistakes_show_what_the_method_saw(dataset, results):
    dual = results[0]
    rows = false_negatives(dual.test, dual.cutoff).head(2)
    figure = mistakes_figure(gather(dataset, dual, rows), dual.cutoff, "a title")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts[:3] == ["input", "reconstruction", "overlay\n(squared error)"]
    assert len(texts) == 3 + len(rows)


def test_a_long_file_name_keeps_its_end_and_has_an_ellipsis(dataset, results):
    dual = results[0]
    rows = false_negatives(dual.test, dual.cutoff).head(2)
    evidence = gather(dataset, dual, rows)
    names = [f"test/spot/line_3_camera_north_2024-03-0{i}.png" for i in (1, 2)]
    renamed = replace(evidence, rows=rows.assign(image=names))
    texts = [text.get_text() for text in mistakes_figure(renamed, 0.3, "a title").axes[0].texts]
    assert [text.split("\n")[1] for text in texts[3:]] == ["line_3_c…24-03-01", "line_3_c…24-03-02"]


def test_tiles_keep_colours_and_outline_masks():
    colour = np.random.default_rng(0).random((4, 4, 3)).astype(np.float32)
    assert np.array_equal(grey(colour), colour)
    mask = np.zeros((5, 5), dtype=bool)
    mask[2, 2] = True
    tile = outlined(grey(np.zeros((5, 5))), mask)
    assert tile[2, 2].sum() == 0 and tile[1, 2].sum() == 2
    assert np.array_equal(overlay(colour, np.zeros((4, 4))), colour)


def test_overlays_show_the_anomaly_map_over_the_image(dataset, results):
    plus = results[1]
    evidence = gather(dataset, plus, spread_over_defects(plus.test, 2))
    maps = evidence.scale.heat(evidence.anomaly_map)
    for tile, image, values in zip(overlay_tiles(evidence), evidence.image, maps, strict=True):
        assert np.array_equal(tile, overlay(image, values))
