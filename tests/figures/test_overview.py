import pytest

from dualad.figures.inputs import dataset_series, load_method
from dualad.figures.overview import auroc_overview_figure, performance_figure
from dualad.figures.style import Footnotes, styles


def test_point_ranges_and_the_best_control(tree):
    loaded = {name: {f.name: load_method(f) for f in files} for name, files in tree.items()}
    families = {files.name: files.family for files in tree["brick"]}
    del loaded["faces"]["dual"]
    figure = auroc_overview_figure(loaded, styles(families), {"brick": ("synthetic defects",)})
    first, second = figure.axes
    assert first.get_title() == "brick²" and second.get_title() == "faces"
    assert [t.get_text() for t in first.get_yticklabels()][:3] == [
        "dual",
        "dual_plus",
        "pixel_only¹",
    ]
    points = [line for line in first.lines if line.get_linestyle() == "None"]
    brick = loaded["brick"]
    assert [p.get_xdata()[0] for p in points] == [m.metrics["auroc"] for m in brick.values()]
    best = max(m.metrics["auroc"] for m in brick.values() if m.is_control)
    assert any(line.get_xdata()[0] == pytest.approx(best) for line in first.lines[-2:])
    assert "no result" in {text.get_text() for text in second.texts}


def test_fig04_has_a_line_per_dataset(tree):
    methods = {name: (load_method(files[0]), ()) for name, files in tree.items()}
    series = dataset_series(methods, styles(dict.fromkeys(methods, "")), Footnotes())
    roc, recall, confidence, densities = performance_figure(series, "a title").axes
    assert len(roc.get_legend().get_texts()) == len(recall.get_legend().get_texts()) == 2
    assert [t.get_text() for t in confidence.get_yticklabels()] == ["brick", "faces"]
    assert [t.get_text() for t in densities.get_yticklabels()] == ["faces", "brick"]
    assert densities.get_xlabel() == "score / threshold"
