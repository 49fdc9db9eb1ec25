import shutil
from dataclasses import replace

import pandas as pd
import pytest
from matplotlib import pyplot

from dualad.errors import DualadError
from dualad.figures.dataset import draw_dataset_figures
from dualad.figures.inputs import load_method

SHARED = ["roc", "precision_recall", "confidence_boxes", "error_density", "uncertainty"]
MISTAKES = ["false_positives", "false_negatives"]
EXPECTED = {
    "dual": ["training_curves", "search_trials", "localisation", *MISTAKES],
    "pixel_std": MISTAKES,
}


def dataset_h5(methods):
    return methods[0].folder.parent / "dataset.h5"


def pick(methods, *names):
    return [load_method(folder) for folder in methods if folder.name in names]


def test_all_figures_of_a_dataset_and_the_same_bytes_again(tree, tmp_path):
    methods = pick(tree["brick"], "dual", "pixel_std")
    written = draw_dataset_figures(tmp_path / "a", dataset_h5(methods), methods)
    stems = SHARED + [f"{figure}__{name}" for name, own in EXPECTED.items() for figure in own]
    names = {f"{stem}{suffix}" for stem in stems for suffix in (".png", ".pdf")}
    assert {path.name for path in written} == names
    assert {path.name for path in (tmp_path / "a").iterdir()} == names
    draw_dataset_figures(tmp_path / "b", dataset_h5(methods), methods)
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_nothing_to_show_is_still_a_figure(tree, tmp_path):
    (method,) = pick(tree["brick"], "pixel_std")
    folder = tmp_path / "results" / "brick" / "pixel_std"
    shutil.copytree(method.folder, folder)
    scores = pd.read_csv(folder / "scores.csv")
    scores["decision"] = scores["label"]
    scores.to_csv(folder / "scores.csv", index=False)
    perfect = load_method(folder)
    written = draw_dataset_figures(tmp_path / "figures", dataset_h5([method]), [perfect])
    assert tmp_path / "figures" / "false_negatives__pixel_std.png" in written
    assert tmp_path / "figures" / "uncertainty.png" in written


def test_no_pyplot_figure_is_left_open(tree, tmp_path):
    methods = pick(tree["faces"], "pixel_std")
    draw_dataset_figures(tmp_path, dataset_h5(methods), methods)
    assert pyplot.get_fignums() == []


def test_uncertainty_has_no_notes_of_methods_without_samples(tree, tmp_path, monkeypatch):
    footnotes = {}

    def note(figure, folder, stem):
        footnotes[stem] = figure.texts[-1].get_text()
        return []

    monkeypatch.setattr("dualad.figures.dataset.save_figure", note)
    (bare,) = pick(tree["brick"], "pixel_std")
    noted = replace(bare, metrics={**bare.metrics, "notes": ["random features"]})
    methods = [*pick(tree["brick"], "dual"), noted]
    draw_dataset_figures(tmp_path, dataset_h5(methods), methods)
    assert (
        "random features" in footnotes["roc"] and "random features" not in footnotes["uncertainty"]
    )


def test_methods_are_needed(tree, tmp_path):
    with pytest.raises(DualadError, match="no method"):
        draw_dataset_figures(tmp_path, tree["brick"][0].parent / "dataset.h5", [])


@pytest.mark.parametrize(
    ("name", "content"),
    [("metrics.json", "{"), ("threshold.json", "[]"), ("scores.csv", "a,b\n1,2\n")],
)
def test_a_damaged_file_is_named(tree, tmp_path, name, content):
    folder = tmp_path / "pixel_std"
    shutil.copytree(tree["brick"][-1], folder)
    (folder / name).write_text(content)
    with pytest.raises(DualadError, match=name):
        load_method(folder)
