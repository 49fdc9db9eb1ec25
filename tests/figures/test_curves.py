import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from dualad.figures.curves import precision_recall_figure, roc_figure
from dualad.figures.inputs import Series, method_series
from dualad.figures.style import Footnotes, styles


@pytest.fixture
def series(results):
    looks = styles({m.name: m.family for m in results})
    return method_series(results, looks, Footnotes())


def legend_texts(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_roc_legend_gives_sklearns_auroc_and_the_evaluators_interval(series, results):
    figure = roc_figure(series, "a title")
    for text, method in zip(legend_texts(figure), results, strict=True):
        auroc = roc_auc_score(method.test["label"], method.test["score"])
        low, high = method.metrics["ci"]["auroc"]
        assert f"{auroc:.3f} [{low:.3f}, {high:.3f}]" in text
        assert auroc == pytest.approx(method.metrics["auroc"])


def test_roc_marks_the_operating_point_of_every_method(series, results):
    figure = roc_figure(series, "a title")
    marks = [line for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    assert len(marks) == len(results)
    for mark, method in zip(marks, results, strict=True):
        assert mark.get_xdata()[0] == pytest.approx(method.metrics["fpr"])
        assert mark.get_ydata()[0] == pytest.approx(method.metrics["tpr"])


def test_notes_mark_the_method_in_the_legend(series):
    noted = [text for text in legend_texts(roc_figure(series, "")) if "pixel_only" in text]
    assert noted[0].startswith("pixel_only¹")


def test_precision_recall_legend_and_prevalence_line(series, results):
    figure = precision_recall_figure(series, "a title")
    test = results[0].test
    area = average_precision_score(test["label"], test["score"])
    assert f"dual  {area:.3f}" in legend_texts(figure)[0]
    prevalence = test["label"].mean()
    assert any(np.allclose(line.get_ydata(), prevalence) for line in figure.axes[0].lines)
    assert f"prevalence {prevalence:.2f}" in {text.get_text() for text in figure.axes[0].texts}


def test_precision_recall_without_any_flagged_image():
    test = pd.DataFrame(
        {"label": [0, 1, 1], "score": [0.1, 0.2, 0.3], "decision": 0, "probability": 0.1}
    )
    one = Series("quiet", styles({"quiet": ""})["quiet"], test, threshold=1.0)
    assert legend_texts(precision_recall_figure([one], "")) == ["quiet  1.000"]


def test_many_curves_are_drawn_apart_by_kind_with_the_controls(results):
    families = {"dual": "dual_autoencoder", "padim": "padim", "pca": "pca"}
    names = {f"{name}{i}": family for i in range(5) for name, family in families.items()}
    looks = styles(names)
    test = results[0].test
    series = [Series(name, looks[name], test, 0.5) for name in names]
    drawn = [
        [text.get_text().split()[0] for text in axes.get_legend().get_texts()]
        for axes in roc_figure(series, "a title").axes
    ]
    controls = [f"pca{i}" for i in range(5)]
    assert drawn == [[f"{name}{i}" for i in range(5)] + controls for name in ("dual", "padim")]
    assert len(roc_figure(series[:12], "a title").axes) == 1
