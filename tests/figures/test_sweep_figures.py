import json

import numpy as np
import pandas as pd
import pytest

from dualad.errors import DualadError
from dualad.figures.across import draw_across
from dualad.figures.sweeps import (
    SweepResults,
    dropout_figure,
    lines_figure,
    read_sweep,
    roc_curves_figure,
    seeds_figure,
)

VALUES = ("10", "20", "40")
METRICS = {"auroc": 0.8, "balanced_accuracy": 0.7, "f1": 0.75, "tnr": 0.6}


def write_point(folder, skill=0.4, notes=()):
    folder.mkdir(parents=True)
    interval = {"ci": {"auroc": [0.7, 0.9], "balanced_accuracy": [0.75, 0.9]}}
    named = {"dataset": "faces", "method": "x", "family": "dual_autoencoder", "notes": list(notes)}
    metrics = {**METRICS, **interval, **named, "reconstruction_skill": skill}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    label = np.repeat([0, 1], 4)
    score = np.arange(8.0)
    score[2] = 5.5
    table = {"image": [f"{i}.png" for i in range(8)], "split": "test", "label": label}
    table |= {"decision": (score > 3.5).astype(int), "score": score}
    pd.DataFrame(table).to_csv(folder / "scores.csv", index=False)


@pytest.fixture
def folders(tmp_path):
    """Two datasets; the last value diverged on the second, whose second is a mean image."""
    made = {}
    for dataset in ("digits", "faces"):
        folder = tmp_path / dataset / "sweeps" / "epochs"
        for value, skill in zip(VALUES, (0.4, 0.01, 0.3), strict=True):
            if (dataset, value) == ("faces", "40"):
                (folder / value).mkdir(parents=True)
            else:
                write_point(folder / value, 0.5 if dataset == "digits" else skill)
        made[dataset] = folder
    (tmp_path / "faces" / "dataset.json").write_text(json.dumps({"note": "synthetic defects"}))
    return made


@pytest.fixture
def sweep(folders):
    return read_sweep("epochs", "epochs", folders, VALUES)


def ticks(axes):
    return [label.get_text() for label in axes.get_xticklabels()]


def test_accuracy_is_the_share_of_right_decisions(sweep):
    point = sweep.points["digits"]["10"]
    assert point.metrics["accuracy"] == pytest.approx(7 / 8)
    assert sweep.points["faces¹"]["40"] is None
    assert "faces: every attempt diverged at 40" in sweep.footnote
    assert "¹ synthetic defects" in sweep.footnote


def test_a_sweep_that_was_not_run_is_a_gap(folders):
    folders["brick"] = folders["digits"].parents[2] / "brick" / "sweeps" / "epochs"
    sweep = read_sweep("epochs", "epochs", folders, VALUES)
    assert "no result for brick" in sweep.footnote and "brick: every" not in sweep.footnote
    assert set(sweep.points["brick"].values()) == {None}


def test_lines_break_at_what_diverged_and_show_the_skill(sweep):
    digits, faces = lines_figure(sweep).axes
    assert ticks(faces) == ["10\nskill 0.40", "20\nskill 0.01", "40\nno result"]
    lines = [line for line in digits.lines if len(line.get_xdata()) == 3]
    assert [list(line.get_ydata()) for line in lines] == [
        [0.8] * 3,
        [0.7] * 3,
        [0.75] * 3,
        [7 / 8] * 3,
    ]
    assert np.isnan([line.get_ydata()[2] for line in faces.lines]).all()


def test_a_mean_image_is_hatched(sweep):
    digits, faces = seeds_figure(sweep).axes
    assert [patch.get_hatch() for patch in digits.patches] == []
    (band,) = faces.patches
    assert band.get_hatch() and band.get_x() == pytest.approx(0.5)
    assert all(line.get_linestyle() == "None" for line in digits.lines)


def test_roc_curves_name_auroc_interval_and_skill(sweep):
    digits, faces = roc_curves_figure(sweep).axes
    legend = [text.get_text() for text in digits.get_legend().get_texts()]
    assert legend[0] == "10: 0.800 [0.700, 0.900], skill 0.50"
    assert [text.get_text() for text in faces.get_legend().get_texts()][2] == "40: no result"
    widths = [line.get_linewidth() for line in faces.lines[:2]]
    assert widths[1] < widths[0]  # the second answers with the mean image
    # (fpr, tpr) of one normal image above half of the anomalous ones.
    assert [0.25, 0.5] in np.column_stack(digits.lines[0].get_data()).tolist()


def test_dropout_heatmaps_have_a_row_for_the_skill(sweep):
    digits, faces = dropout_figure(sweep).axes
    cells = [text.get_text() for text in digits.texts]
    assert len(cells) == 18 and cells[-3:] == ["50.0"] * 3
    assert len(faces.texts) == 12
    assert digits.get_yticklabels()[-1].get_text() == "reconstruction skill"


@pytest.mark.parametrize("draw", [lines_figure, seeds_figure, roc_curves_figure, dropout_figure])
def test_a_sweep_that_diverged_throughout_says_so(draw):
    figure = draw(SweepResults("a title", "epochs", {"digits": {"10": None}}, ""))
    assert figure.axes == []
    assert any("every training diverged" in text.get_text() for text in figure.texts)


def test_files_by_name_and_the_same_bytes_again(folders, tmp_path):
    design = ("epochs", "epochs", list(folders), VALUES)
    first, second = (
        draw_across("fig09_epochs", tmp_path / x, list(map(str, folders.values())), design)
        for x in "ab"
    )
    assert [path.name for path in first] == ["fig09_epochs.png", "fig09_epochs.pdf"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_damaged_scores_are_named(folders):
    (folders["digits"] / "10" / "scores.csv").write_text("a\n")
    with pytest.raises(DualadError, match=r"10/scores\.csv"):
        read_sweep("epochs", "epochs", folders, VALUES)
