import json

import numpy as np
import pandas as pd
import pytest

from dualad.design.experiments import REPEAT_MARK
from dualad.design.products import FIGURES
from dualad.errors import DualadError
from dualad.figures.across import draw_across
from dualad.figures.critical_difference import critical_difference_figure
from dualad.figures.heatmaps import METRICS, heatmap_figure, metrics_figure
from dualad.figures.inputs import read_results
from dualad.figures.repeats import repeats_figure
from dualad.figures.trade_offs import bubbles_figure, costs_figure

FAMILIES = {"dual": "dual_autoencoder", "padim": "padim", "pca": "pca"}
AUROC = {"dual": 0.9, "padim": 0.8, "pca": 0.7}


def write(root, dataset, method, auroc, *, notes=(), seconds=10.0, seed="dynamic"):
    """The small files of an experiment."""
    folder = root / dataset / method
    folder.mkdir(parents=True)
    metrics = dict.fromkeys(METRICS, auroc) | {"tpr": 0.5, "auroc": auroc, "notes": list(notes)}
    family = FAMILIES[method.partition(REPEAT_MARK)[0]]
    metrics |= {"dataset": dataset, "method": method, "family": family}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "fit.json").write_text(json.dumps({"seconds": seconds, "peak_memory_mb": 500.0}))
    (folder / "scoring.json").write_text(json.dumps({"seconds": 1.0, "images": 100}))
    (folder / "threshold.json").write_text(json.dumps({"method": {"family": family, "seed": seed}}))
    return folder / "metrics.json"


@pytest.fixture
def paths(tmp_path):
    """Three methods on two datasets: a gap, a repeat, notes on a method and on a dataset."""
    made = [
        write(
            tmp_path,
            dataset,
            method,
            auroc - 0.2 * (dataset == "faces"),
            notes=["random features"] if method == "padim" else [],
        )
        for dataset in ("brick", "faces")
        for method, auroc in AUROC.items()
    ]
    (tmp_path / "faces" / "dataset.json").write_text(json.dumps({"note": "synthetic defects"}))
    made.append(write(tmp_path, "brick", "dual@1", 0.6))
    made[-2].unlink()  # faces, pca
    return made


def texts(axes):
    return [text.get_text() for text in axes.texts]


def footnote(figure):
    return figure.texts[-1].get_text()


def test_results_name_notes_and_average_repeats(paths):
    results = read_results(paths)
    assert list(results.methods.values()) == ["dual", "padim¹", "pca"]
    assert list(results.datasets.values()) == ["brick", "faces²"]
    assert results.mean("brick", "dual", "auroc") == pytest.approx(0.75)
    assert results.mean("faces", "pca", "auroc") is None
    assert results.repeated == "means over runs: dual (2 runs)"


def test_heatmaps_have_a_cell_per_result_and_hatch_gaps(paths):
    panels = metrics_figure(read_results(paths)).axes
    # One of three methods has no result on the second dataset.
    assert [len(texts(axes)) for axes in panels] == [5] * len(panels)
    table = pd.DataFrame({"a": [0.5, np.nan]}, index=["dual", "pca"])
    (axes,) = heatmap_figure({"AUROC": table}, "a title").axes
    assert texts(axes) == ["50.0"]
    assert axes.patch.get_hatch()


def test_bubbles_grow_with_the_tpr(paths):
    results = read_results(paths)
    brick, faces = bubbles_figure(results).axes
    assert (brick.get_title("left"), faces.get_title("left")) == ("brick", "faces²")
    assert len(brick.collections) == 3 and len(faces.collections) == 2
    assert brick.get_xlim() == faces.get_xlim()
    path = next(p for p in paths if p.parts[-3:-1] == ("brick", "pca"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "tpr": 1.0}))
    sizes = [
        bubble.get_sizes()[0] for bubble in bubbles_figure(read_results(paths)).axes[0].collections
    ]
    assert np.divide(sizes, sizes[0]) == pytest.approx([1, 0.5, 0.5])


def test_costs_have_two_logarithmic_panels_a_dataset(paths):
    figure = costs_figure(read_results(paths))
    fit, score, *_ = figure.axes
    assert len(figure.axes) == 4 and {axes.get_xscale() for axes in figure.axes} == {"log"}
    assert {bubble.get_offsets()[0, 0] for bubble in fit.collections} == {10.0}
    assert {bubble.get_offsets()[0, 0] for bubble in score.collections} == {10.0}
    assert "random features" in footnote(figure)


@pytest.mark.parametrize(("datasets", "bars"), [(2, [[-0.25, 2.25]]), (12, [])])
def test_critical_difference_joins_groups_by_bars(datasets, bars, tmp_path):
    made = [
        write(tmp_path, f"d{i}", method, auroc)
        for i in range(datasets)
        for method, auroc in AUROC.items()
    ]
    (axes,) = critical_difference_figure(read_results(made)).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["dual", "padim", "pca"]
    averages = [line.get_xdata()[0] for line in axes.lines if line.get_markersize() == 7]
    assert averages[1::2] == [1, 2, 3]
    assert [list(line.get_ydata()) for line in axes.lines if line.get_linewidth() == 3] == bars


def test_no_ranks_on_one_dataset(paths):
    figure = critical_difference_figure(read_results(paths[:3]))
    assert figure.axes == [] and any("Ranks need" in text.get_text() for text in figure.texts)


def test_spread_has_a_point_per_run(paths):
    auroc, _ = repeats_figure(read_results([paths[0], paths[-1]])).axes
    assert [label.get_text() for label in auroc.get_yticklabels()] == [
        "brick, dual (dynamic seed, 2 runs)"
    ]
    points = np.vstack([points.get_offsets() for points in auroc.collections])
    assert sorted(points[:, 0]) == pytest.approx([0.6, 0.9])
    mean = next(line for line in auroc.lines if line.get_linewidth() == 1.2)
    assert mean.get_xdata()[0] == pytest.approx(0.75)


def test_spread_leaves_out_what_ran_once(paths):
    auroc, _ = repeats_figure(read_results(paths)).axes
    assert [label.get_text().split(",")[:2] for label in auroc.get_yticklabels()] == [
        ["brick", " dual (dynamic seed"]
    ]


def test_a_seed_policy_has_its_name(tmp_path):
    made = [write(tmp_path, "brick", name, 0.8, seed=42) for name in ("dual", "dual@1")]
    axes = repeats_figure(read_results(made)).axes[0]
    assert axes.get_yticklabels()[0].get_text() == "brick, dual (seed 42, 2 runs)"


@pytest.mark.parametrize("figure", [name for name in FIGURES if name != "fig02_batch_law"])
def test_nothing_to_draw_is_a_figure_that_says_so(figure, tmp_path):
    written = draw_across(figure, tmp_path, [])
    assert [path.name for path in written] == [f"{figure}.png", f"{figure}.pdf"]


@pytest.mark.parametrize(
    "figure", ["auroc_overview", "fig05_heatmaps", "fig06_bubbles", "costs", "critical_difference"]
)
def test_equal_results_give_equal_bytes(figure, paths, tmp_path):
    first, second = (draw_across(figure, tmp_path / x, list(map(str, paths))) for x in "ab")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_a_damaged_file_is_named(paths, tmp_path):
    paths[0].write_text("{")
    with pytest.raises(DualadError, match=r"brick/dual/metrics\.json"):
        draw_across("fig06_bubbles", tmp_path, list(map(str, paths)))
