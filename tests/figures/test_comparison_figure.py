from dualad.figures.comparison import comparison_figure
from dualad.paper.comparison import Comparison


def number(dataset, method, metric, ours, paper, status="compared", **more):
    interval = None if ours is None else (ours - 0.1, ours + 0.05)
    return Comparison("Table 6", dataset, method, metric, paper, status, ours, interval, **more)


def markers(axes, marker):
    return [
        (*line.get_xdata(), *line.get_ydata()) for line in axes.lines if line.get_marker() == marker
    ]


def labels(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def test_a_row_per_experiment_and_a_panel_per_metric():
    figure = comparison_figure(
        [
            number("zipper", "dual", "auroc", 0.8, 0.93, note="a note"),
            number("zipper", "image_only", "auroc", 0.7, 0.87),
            number("rope", "dual", "auroc", 0.9, 0.94),
            number("rope", "dual", "tnr", None, 0.88),
            number("rope", "dual", "mcc", 0.5, 0.89),
            number("digits", "dual", "auroc", 0.6, None, "not in the paper"),
            number("oct2017", "dual", "auroc", None, 0.96, "not run"),
        ]
    )
    balanced, _, _, tnr = figure.axes
    assert labels(balanced) == ["dual, zipper¹", "dual, rope", "image_only, zipper"]
    assert balanced.get_title() == "balanced accuracy"
    assert markers(balanced, "o") == [(80, 0), (90, 1), (70, 2)]
    assert markers(balanced, "s") == [(93, 0), (94, 1), (87, 2)]
    assert {text.get_text() for text in tnr.texts} == {"not in the paper", "undefined here"}
    assert markers(tnr, "s") == [(88, 1)]
    footnote = figure.texts[-1].get_text()
    assert "not run: dual (oct2017)" in footnote and "not in the paper: digits;" in footnote
    assert "¹ a note" in footnote
    assert balanced.get_xlim()[0] < 60


def test_numbers_printed_twice_are_drawn_once():
    twice = [number("zipper", "dual", "auroc", 0.8, 0.93)] * 2
    assert len(markers(comparison_figure(twice).axes[0], "s")) == 1


def test_nothing_in_common_is_said():
    figure = comparison_figure([number("digits", "dual", "auroc", 0.6, None, "not in the paper")])
    assert figure.axes == []
    texts = " ".join(text.get_text() for text in figure.texts)
    assert "None of the experiments" in texts and "not in the paper" not in texts
