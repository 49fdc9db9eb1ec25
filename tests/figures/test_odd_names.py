"""Names that users choose are drawn as they are."""

import logging
import warnings

import pandas as pd
import pytest
from result_tree import Arm, make_dataset, make_method

from dualad.figures import style
from dualad.figures.dataset import draw_dataset_figures
from dualad.figures.inputs import load_experiments, load_method
from dualad.figures.pictures import localisation_across_figure, mistakes_across_figure
from dualad.figures.style import (
    Footnotes,
    message_figure,
    new_figure,
    save_figure,
    set_log_x,
    shortened,
    shortened_names,
)

ODD_NAMES = (
    "$5 and $x_1^2$",
    r"\$\frac{1}$ \alpha_^",
    "broken_large",
    "כתם שחור",
    "خدش عميق",
    "划痕和凹陷",
    "ひっかき傷がとても長い名前です",
    "bytes \udcff\udcfe",
    "line\nbreak\ttab",
    "x" * 255,
)


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("$5_^\\", "$5_^\\"),
        ("a  b", "a  b"),
        ("x" * 17, "x" * 8 + "…" + "x" * 7),
        ("camera_north_2024_a", "camera_n…_2024_a"),
        ("划" * 8, "划" * 8),
        ("划" * 9, "划" * 4 + "…" + "划" * 3),
        ("a\udcff\n", "a\ufffd\ufffd"),
        ("", ""),
    ],
)
def test_a_name_is_shortened_to_its_place_and_otherwise_as_it_was(name, drawn):
    assert shortened(name, 16) == drawn


def test_names_that_differ_stay_different():
    names = ["line_1_" + "o" * 40, "line_2_" + "o" * 40, "short"]
    assert list(shortened_names(names, 12).values()) == ["line_1…ooooo", "line_2…ooooo", "short"]
    middles = [f"{'x' * 20}{i}{'x' * 20}" for i in range(3)]
    drawn = shortened_names(middles, 12)
    assert len(set(drawn.values())) == 3 and all(len(name) < 44 for name in drawn.values())
    assert shortened_names([], 12) == {}


def test_long_labels_of_a_figure_have_an_ellipsis_and_differ():
    names = [f"assembly_line_{i}_camera_north_polarised_2024_{'ab'[i % 2]}" for i in range(10)]
    footnotes = Footnotes(names)
    labels = [footnotes.label(name, ["note"]) for name in names]
    assert len(set(labels)) == 10 and all("…" in label and len(label) <= 31 for label in labels)


def test_a_dollar_sign_is_no_mathematics(tmp_path):
    for text in ODD_NAMES[:3]:
        figure = message_figure(text, text, text)
        assert text in [artist.get_text() for artist in figure.texts]
        save_figure(figure, tmp_path, "message")


def test_powers_of_ten_are_mathematics(tmp_path):
    with style.themed():
        figure = new_figure(3, 2)
        axes = figure.add_subplot(title="$5 and $6")
        axes.set(xlim=(0.01, 100))
        set_log_x(axes)
    save_figure(figure, tmp_path, "powers")
    labels = [tick.label1 for tick in axes.xaxis.get_major_ticks()]
    assert any("mathdefault" in label.get_text() for label in labels)
    assert all(label.get_parse_math() for label in labels)
    assert not axes.title.get_parse_math()


def test_a_font_that_has_the_characters_is_chosen(tmp_path, monkeypatch, caplog):
    wanted = style._characters("STIXGeneral") - style._characters("DejaVu Sans")
    character = min(c for c in wanted if c.isalpha())
    figure = message_figure("title", f"a {character}")
    with caplog.at_level(logging.WARNING, "dualad"), warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(figure, tmp_path, "message")
    assert not [record for record in caplog.records if record.name.startswith("dualad")]
    families = {text.get_text(): text.get_fontfamily() for text in figure.texts}
    assert families["title"] == ["DejaVu Sans"]
    assert families[f"a {character}"][0] == "DejaVu Sans" and len(families[f"a {character}"]) == 2


def test_characters_without_a_font_are_named(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "dualad"):
        save_figure(message_figure("title", "a \U000e0fff b"), tmp_path, "message")
    assert "no installed font has the characters" in caplog.text and "U+E0FFF" in caplog.text


def test_every_figure_of_a_dataset_is_drawn_whatever_its_classes_are_called(tmp_path):
    pictures = make_dataset(tmp_path / "odd")
    folder = make_method(tmp_path / "odd/dual", Arm("dual", maps=True, trials=0), pictures)
    scores = pd.read_csv(folder / "scores.csv")
    defects = list(scores["defect"])
    anomalous = 0
    for i, label in enumerate(scores["label"]):
        if label == 1:
            defects[i] = ODD_NAMES[anomalous % len(ODD_NAMES)]
            anomalous += 1
    scores["defect"] = defects
    scores.to_csv(folder / "scores.csv", index=False, errors="surrogateescape")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_dataset_figures(tmp_path, tmp_path / "odd/dataset.h5", [load_method(folder)])
        experiments = load_experiments([folder / "metrics.json"])
        save_figure(localisation_across_figure(experiments), tmp_path, "localisation")
        for label in (0, 1):
            save_figure(
                mistakes_across_figure(experiments, label=label), tmp_path, f"mistakes_{label}"
            )
