import json
import shutil

import numpy as np
import pandas as pd
import pytest

from dualad.figures.across import draw_across
from dualad.figures.inputs import load_experiments
from dualad.figures.pictures import localisation_across_figure, mistakes_across_figure


def metrics_of(tree, method):
    return [
        folder / "metrics.json"
        for methods in tree.values()
        for folder in methods
        if folder.name == method
    ]


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def footnote(figure):
    return figure.texts[-1].get_text()


@pytest.fixture
def perfect(tree, tmp_path):
    """A dataset on which `dual` makes no mistake."""
    (source, _) = metrics_of(tree, "dual")
    shutil.copytree(source.parent, tmp_path / "easy" / "dual")
    for name in ("dataset.h5", "dataset.json"):
        shutil.copy(source.parents[1] / name, tmp_path / "easy" / name)
    scores = pd.read_csv(tmp_path / "easy" / "dual" / "scores.csv")
    scores["decision"] = scores["label"]
    scores.to_csv(tmp_path / "easy" / "dual" / "scores.csv", index=False)
    return tmp_path / "easy" / "dual" / "metrics.json"


def test_localisation_leaves_white_what_a_dataset_lacks(tree, tmp_path):
    missing = tmp_path / "x" / "dual_plus" / "metrics.json"
    figure = localisation_across_figure(load_experiments([*metrics_of(tree, "dual_plus"), missing]))
    labels = [text for text in texts(figure) if "score" in text]
    assert [label.split("\n")[0] for label in labels] == ["brick¹"] * 2 + ["faces"] * 2
    assert "no result for x" in footnote(figure) and "white: no masks there" in footnote(figure)
    assert "¹ synthetic defects" in footnote(figure)
    titles = [text for text in texts(figure) if text in ("input", "true mask", "predicted mask")]
    assert titles == ["input", "true mask", "predicted mask"]
    picture = np.asarray(figure.axes[0].images[0].get_array())
    rows, columns = 4, 7
    step = (picture.shape[0] // rows, picture.shape[1] // columns)
    masks = picture[:, 5 * step[1] : 5 * step[1] + step[1] - 1]
    assert masks[2 * step[0] :].min() == 255 and masks[: step[0]].min() == 0


def test_a_method_without_maps_has_no_localisation(tree):
    figure = localisation_across_figure(load_experiments(metrics_of(tree, "pixel_std")))
    assert figure.axes == []
    assert any("pixel_std has no anomaly maps" in text.get_text() for text in figure.texts)


def test_mistakes_are_counted_and_captioned_worst_first(tree, perfect):
    experiments = load_experiments([*metrics_of(tree, "dual"), perfect])
    for label, kind in enumerate(("normals flagged", "anomalies missed")):
        wrong = [
            method.test[(method.test["label"] == label) & (method.test["decision"] != label)]
            for method in (one.method for one in experiments)
        ]
        assert len(wrong[2]) == 0 and any(len(one) for one in wrong)
        figure = mistakes_across_figure(experiments, label=label)
        counts = [text.split("\n")[1] for text in texts(figure) if " of " in text or "no " in text]
        assert len(counts) == 3
        for one, text in zip(wrong, counts, strict=True):
            assert text.startswith(f"{len(one)} of " if len(one) else "no false")
            assert not len(one) or text.endswith(kind)
        captions = [text for text in texts(figure) if "(" in text]
        assert len(captions) == sum(min(len(one), 3) for one in wrong)
        margins = [abs(float(text.split("(")[1].rstrip(")"))) for text in captions]
        first = min(len(wrong[0]), 3)
        assert margins[:first] == sorted(margins[:first], reverse=True)


def test_no_mistakes_anywhere_is_said(perfect):
    for label, kind in enumerate(("false positives", "false negatives")):
        figure = mistakes_across_figure(load_experiments([perfect]), label=label)
        assert figure.axes == []
        assert any(f"There are no {kind}" in text.get_text() for text in figure.texts)


def test_a_method_without_maps_has_mistakes(tree):
    figure = mistakes_across_figure(load_experiments(metrics_of(tree, "pixel_std")), label=1)
    assert "overlay" not in texts(figure)


@pytest.mark.parametrize("name", ["fig11_localisation", "fig13_false_negatives"])
def test_bytes_are_the_same_again(name, tree, tmp_path):
    figure = f"{name}__dual_plus"
    inputs = metrics_of(tree, "dual_plus")
    first, second = (draw_across(figure, tmp_path / x, inputs) for x in "ab")
    assert [path.name for path in first] == [f"{figure}.png", f"{figure}.pdf"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_notes_of_the_method_are_said(tree):
    figure = localisation_across_figure(load_experiments(metrics_of(tree, "pixel_only")))
    metrics = json.loads(metrics_of(tree, "pixel_only")[0].read_text())
    assert metrics["notes"] == ["random features"] and "random features" in footnote(figure)
