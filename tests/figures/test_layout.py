"""Whatever the numbers of methods and datasets and the lengths of their names, texts keep apart."""

import json
from dataclasses import replace

import pytest
from texts import outside, overprinting

from dualad.design.families import FAMILIES
from dualad.figures.critical_difference import critical_difference_figure
from dualad.figures.curves import precision_recall_figure, roc_figure
from dualad.figures.distributions import confidence_figure, error_density_figure
from dualad.figures.heatmaps import METRICS, metrics_figure
from dualad.figures.inputs import dataset_series, load_method, method_series, read_results
from dualad.figures.overview import auroc_overview_figure
from dualad.figures.performance import performance_figure
from dualad.figures.repeats import repeats_figure
from dualad.figures.style import Footnotes, new_figure, styles
from dualad.figures.trade_offs import bubbles_figure, costs_figure
from dualad.figures.uncertainty import MonteCarlo, uncertainty_figure

DATASETS = [f"assembly_line_{i}_camera_north_polarised_2024_{'ab'[i % 2]}" for i in range(10)]
MANY = {
    **{f"WITHOUT_COMPONENT_{i}_OF_THE_PIPELINE_OR_SO": "dual_autoencoder" for i in range(9)},
    **{f"{name}_with_a_much_longer_name_than_usual": name for name in FAMILIES},
}


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """25 methods or more on 10 datasets, all with long names, one method with repeats."""
    root = tmp_path_factory.mktemp("many")
    paths = []
    for i, dataset in enumerate(DATASETS):
        for j, (method, family) in enumerate(MANY.items()):
            for name in (method, f"{method}@1") if j == 1 else (method,):
                folder = root / dataset / name
                folder.mkdir(parents=True)
                # Down to 0, and to 1: the widest axes that there are.
                value = ((7 * i + 11 * j) % 25) / 24
                metrics = dict.fromkeys([*METRICS, "f1", "tpr"], value)
                notes = [f"a note on {family}"] if j % 2 else []
                (folder / "metrics.json").write_text(
                    json.dumps(
                        {
                            "dataset": dataset,
                            "method": name,
                            "family": family,
                            "notes": notes,
                            **metrics,
                        }
                    )
                )
                seconds = 10.0 ** (j % 6 - 2)
                (folder / "fit.json").write_text(json.dumps({"seconds": seconds}))
                (folder / "scoring.json").write_text(
                    json.dumps({"seconds": seconds, "images": 40, "peak_memory_mb": 300.0 * j})
                )
                paths.append(folder / "metrics.json")
        (root / dataset / "dataset.json").write_text(json.dumps({"note": f"note {i % 3}"}))
    return read_results(paths, MANY)


@pytest.mark.parametrize(
    "draw",
    [
        auroc_overview_figure,
        metrics_figure,
        bubbles_figure,
        costs_figure,
        critical_difference_figure,
        repeats_figure,
    ],
)
def test_texts_keep_apart_with_25_methods_on_10_datasets(many, draw):
    assert len(many.methods) >= 25 and len(many.datasets) == 10
    figure = draw(many)
    assert overprinting(figure) == [] and outside(figure) == []


def test_texts_keep_apart_in_fig04_of_10_datasets(tree):
    method = load_method(tree["brick"][0])
    methods = {name: (method, ("a note",)) for name in DATASETS}
    series = dataset_series(methods, styles(dict.fromkeys(methods, "")), Footnotes(methods))
    figure = performance_figure(series, "a title", "a note")
    assert overprinting(figure) == [] and outside(figure) == []
    roc, recall, *_ = figure.axes
    for axes in (roc, recall):
        legend = axes.get_legend().get_window_extent()
        assert legend.y1 < axes.get_window_extent().y0, "the legend lies over the curves"


@pytest.mark.parametrize(
    "draw", [roc_figure, precision_recall_figure, confidence_figure, error_density_figure]
)
def test_texts_keep_apart_in_figures_of_25_methods(tree, draw):
    method = load_method(tree["brick"][0])
    methods = [replace(method, name=name, family=family) for name, family in MANY.items()]
    series = method_series(methods, styles(MANY), Footnotes(MANY))
    figure = draw(series, "a title", "a note")
    assert overprinting(figure) == [] and outside(figure) == []


def test_texts_keep_apart_in_the_uncertainty_of_many_methods(tree):
    method = load_method(tree["brick"][0])
    footnotes = Footnotes(MANY)
    sampled = [
        MonteCarlo(footnotes.label(name, []), method.test, method.cutoff, "mean", 0.25, 0.4)
        for name in MANY
    ]
    figure = uncertainty_figure(sampled, "a title", "a note")
    assert overprinting(figure) == [] and outside(figure) == []


def test_texts_that_overprint_are_found():
    figure = new_figure(3, 2)
    for x, y, text, angle in (
        (0.1, 0.5, "one label", 0),
        (0.2, 0.5, "another", 0),
        (0.6, 0.3, "slanted", 35),
        (0.65, 0.3, "beside it", 35),
        (0.9, 0.9, "too far", 0),
    ):
        figure.text(x, y, text, rotation=angle, rotation_mode="anchor", fontsize=8)
    assert overprinting(figure) == [("one label", "another"), ("slanted", "beside it")]
    assert outside(figure) == ["too far"]
