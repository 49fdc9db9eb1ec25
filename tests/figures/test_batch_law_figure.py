import json

import numpy as np
import pytest

from dualad.errors import DualadError
from dualad.figures.across import draw_across
from dualad.figures.batch_law import batch_law_figure
from dualad.paper.batch_law import fit_batch_law
from dualad.results.batch_search import Optimum

OPTIMA = [
    Optimum("faces", 200, 25),
    Optimum("bottle", 292, 46),
    Optimum("digits", 1797, 112),
    Optimum("brats2021", 11_298, 140),
]


def lines(figure, marker):
    return [line for line in figure.axes[0].lines if line.get_marker() == marker]


def test_datasets_are_points_beside_the_papers_examples():
    figure = batch_law_figure(OPTIMA, fit_batch_law(OPTIMA))
    (axes,) = figure.axes
    (ours,), (paper,) = lines(figure, "o"), lines(figure, "s")
    assert list(zip(*ours.get_data(), strict=True)) == [
        (one.n_images, one.batch_size) for one in OPTIMA
    ]
    assert list(zip(*paper.get_data(), strict=True)) == [(262, 98), (26_684, 364)]
    names = {text.get_text() for text in axes.texts}
    assert names == {"faces", "bottle", "digits", "brats2021", "bracket_brown", "rsna"}
    assert axes.get_xscale() == "log"
    assert len(axes.patches) == 2, "one range without a usable batch size on either side"
    assert [p.get_hatch() for p in axes.patches] == ["////"] * 2


def test_the_refit_ends_at_the_datasets_that_it_was_fitted_to():
    figure = batch_law_figure(OPTIMA, fit_batch_law(OPTIMA))
    refit = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 500]
    assert len(refit) == 1
    x, y = refit[0].get_data()
    assert (x[0], x[-1]) == pytest.approx((200, 1797))
    assert (y[0], y[-1]) == pytest.approx((25, 112))
    assert "not refitted" in figure.texts[-1].get_text()


def test_labels_of_close_datasets_do_not_overlap():
    close = [Optimum(f"data_{i}", 1000 + i, 90 + i) for i in range(4)]
    figure = batch_law_figure(close, fit_batch_law(close))
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert all(box.count_overlaps(boxes) == 1 for box in boxes)


def test_everything_lies_inside_the_axes_whatever_the_sizes():
    extreme = [Optimum("tiny", 3, 1), Optimum("huge", 2_000_000, 1900)]
    figure = batch_law_figure(extreme, fit_batch_law(extreme))
    (low, high), (_, top) = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
    assert low < 3 and high > 2_000_000 and top > 1900
    assert np.isfinite(figure.axes[0].get_position().bounds).all()


def test_files_are_the_same_each_time_and_need_no_search(tmp_path):
    path = tmp_path / "digits" / "batch_search" / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"n_images": 1797, "batch_size": 112}))
    first, second = (draw_across("fig02_batch_law", tmp_path / name, [path]) for name in "ab")
    assert [p.name for p in first] == ["fig02_batch_law.png", "fig02_batch_law.pdf"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert all(p.stat().st_size > 1000 for p in draw_across("fig02_batch_law", tmp_path / "c", []))
    path.write_text("{}")
    with pytest.raises(DualadError, match=r"result\.json"):
        draw_across("fig02_batch_law", tmp_path / "d", [path])
