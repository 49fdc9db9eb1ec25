import json
import shutil

import pytest

from dualad.errors import DualadError
from dualad.figures.inputs import dataset_series, load_experiments, load_method, read_results
from dualad.figures.overview import auroc_overview_figure
from dualad.figures.performance import performance_figure
from dualad.figures.style import Footnotes, styles


def metrics_of(tree):
    return [folder / "metrics.json" for methods in tree.values() for folder in methods]


def test_point_ranges_and_the_best_control(tree):
    paths = [p for p in metrics_of(tree) if p.parts[-3:-1] != ("faces", "dual")]
    results = read_results([*paths, *(p.parents[2] / "faces/pca/metrics.json" for p in paths[:1])])
    first, second = auroc_overview_figure(results).axes
    assert first.get_title() == "brick²" and second.get_title() == "faces"
    assert [t.get_text() for t in first.get_yticklabels()][:3] == [
        "dual",
        "dual_plus",
        "pixel_only¹",
    ]
    points = [line for line in first.lines if line.get_marker() not in ("None", ".")]
    brick = [load_method(folder) for folder in tree["brick"]]
    assert [p.get_xdata()[0] for p in points] == [m.metrics["auroc"] for m in brick]
    best = max(m.metrics["auroc"] for m in brick if m.family in ("mean_image", "pixel_std"))
    assert any(line.get_xdata()[0] == pytest.approx(best) for line in first.lines[-2:])
    assert {text.get_text() for text in second.texts} == {"not run", "no result"}


def test_repeats_are_dots_behind_their_method(tree, tmp_path):
    first = tree["brick"][0] / "metrics.json"
    shutil.copytree(first.parent, tmp_path / "brick" / "dual")
    again = tmp_path / "brick" / "dual@1" / "metrics.json"
    again.parent.mkdir()
    again.write_text(
        json.dumps({**json.loads(first.read_text()), "method": "dual@1", "auroc": 0.6})
    )
    (axes,) = auroc_overview_figure(
        read_results([tmp_path / "brick" / "dual" / "metrics.json", again])
    ).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["dual"]
    (dots,) = [line for line in axes.lines if line.get_marker() == "."]
    assert list(dots.get_xdata()) == [0.6]


def test_a_method_looks_the_same_in_every_figure_of_a_configuration(tree):
    families = {
        "image_only": "dual_autoencoder",
        "dual": "dual_autoencoder",
        "padim": "padim",
        "dual_plus": "dual_autoencoder",
        "pixel_only": "dual_autoencoder",
        "mean_image": "mean_image",
        "pixel_std": "pixel_std",
    }
    paths = metrics_of(tree)
    every = read_results(paths, families)
    assert list(every.looks) == [name for name in families if name in every.methods]
    assert every.looks["dual_plus"] == styles(families)["dual_plus"]
    fewer = read_results([path for path in paths if path.parent.name != "dual"], families)
    assert fewer.looks == {name: every.looks[name] for name in fewer.looks}
    assert "dual" not in fewer.looks and "padim" not in every.looks


def test_fig04_has_a_line_per_dataset(tree):
    methods = {name: (load_method(folders[0]), ()) for name, folders in tree.items()}
    series = dataset_series(methods, styles(dict.fromkeys(methods, "")), Footnotes())
    roc, recall, confidence, densities = performance_figure(series, "a title").axes
    assert len(roc.get_legend().get_texts()) == len(recall.get_legend().get_texts()) == 2
    assert [t.get_text() for t in confidence.get_yticklabels()] == ["brick", "faces"]
    assert [t.get_text() for t in densities.get_yticklabels()] == ["faces", "brick"]
    assert densities.get_xlabel() == "score / threshold"


def test_fig04_is_of_one_method_and_names_gaps(tree, tmp_path):
    own = [path for path in metrics_of(tree) if path.parent.name == "dual_plus"]
    experiments = load_experiments([*own, tmp_path / "x" / "dual_plus" / "metrics.json"])
    assert [(one.dataset, one.method is None) for one in experiments] == [
        ("brick", False),
        ("faces", False),
        ("x", True),
    ]
    with pytest.raises(DualadError, match=r"one method; choose one of dual, dual_plus"):
        load_experiments(metrics_of(tree))
