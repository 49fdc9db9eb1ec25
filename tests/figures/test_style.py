import matplotlib
import numpy as np
import pytest

from dualad.design.families import FAMILIES
from dualad.errors import DualadError
from dualad.figures.style import (
    Footnotes,
    Style,
    message_figure,
    new_figure,
    panels,
    save_figure,
    styles,
    themed,
)


def luminance(colour):
    red, green, blue = matplotlib.colors.to_rgb(colour)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_styles_differ_without_colour_and_do_not_vanish_on_white():
    families = {f"m{i}": "dual_autoencoder" for i in range(12)}
    chosen = styles({**families, "a": "mean_image", "b": "pca", "c": "pixel_std"})
    shapes = [(style.marker, style.face == "white") for style in chosen.values()]
    assert len(set(shapes)) >= 14
    assert len({(s.colour, str(s.line)) for s in chosen.values()}) == 15
    assert all(luminance(style.colour) < 0.8 for style in chosen.values())
    assert [name for name, style in chosen.items() if style.control] == ["a", "b", "c"]


def test_a_method_keeps_its_style_when_controls_come_and_go():
    alone = styles({"dual": "dual_autoencoder", "plus": "dual_autoencoder"})
    among = styles({"pca": "pca", "dual": "dual_autoencoder", "plus": "dual_autoencoder"})
    assert alone["plus"] == among["plus"] and isinstance(alone["dual"], Style)


def test_baselines_look_the_same_whatever_stands_beside_them():
    families = {name: name for name, one in FAMILIES.items() if one.kind == "baseline"}
    chosen = styles({"dual": "dual_autoencoder", **families})
    assert styles({"padim": "padim"})["padim"] == chosen["padim"]
    markers = [(style.marker, style.face) for style in chosen.values()]
    assert len(set(markers)) == len(chosen) == 13
    # A pale face: neither a dual autoencoder's nor a control's.
    assert all(0.75 < luminance(chosen[name].face) < 0.99 for name in families)


def test_twenty_five_methods_have_looks_of_their_own():
    families = {f"dual_{i}": "dual_autoencoder" for i in range(11)}
    families |= {name: name for name, one in FAMILIES.items() if one.kind != "dual"}
    families |= {"padim_wide": "padim", "padim_deep": "padim", "pca_9": "pca"}
    assert len(families) >= 25
    chosen = styles(families).values()
    assert len({(style.colour, str(style.line)) for style in chosen}) == len(families)
    assert len({(style.colour, style.marker, style.face) for style in chosen}) == len(families)
    # In grey, too: markers repeat only where the filling differs, or after all of them.
    shapes = [(style.marker, style.kind) for style in chosen]
    assert len(shapes) - len(set(shapes)) <= 2
    # In colour, a colour returns only among the controls.
    coloured = [style.colour for style in chosen if not style.control]
    assert len(set(coloured)) >= len(coloured) - 1


def test_what_knows_labels_is_filled_on_one_half_only():
    families = {name: name for name in FAMILIES}
    half = [name for name, style in styles(families).items() if style.fill == "left"]
    assert half == [name for name, one in FAMILIES.items() if one.kind == "semi-supervised"]


def test_methods_of_one_family_differ():
    for family in ("padim", "pca", "external"):
        first, second = styles({"a": family, "b": family}).values()
        assert first.marker != second.marker
        peers = styles({name: name for name in FAMILIES} | {"again": family})
        assert len(set(peers.values())) == len(FAMILIES) + 1


def test_footnotes_number_equal_notes_once():
    notes = Footnotes()
    assert notes.label("a", ()) == "a"
    assert notes.label("b", ("random features",)) == "b¹"
    assert notes.label("c", ("x", "y")) == "c²"
    assert notes.label("d", ("random features",)) == "d¹"
    assert notes.text("general", "") == "general; ¹ random features; ² x; y"


def test_the_theme_is_put_back():
    before = dict(matplotlib.rcParams)
    with themed():
        assert matplotlib.rcParams["font.size"] != before["font.size"]
    assert dict(matplotlib.rcParams) == before


def test_long_titles_and_footnotes_are_wrapped_inside_the_figure():
    title, note = "a rather long title " * 8, "a remark " * 60
    figure, axes = panels(5, columns=3, cell=(1.5, 1.0), title=title, footnote=note)
    figure.draw_without_rendering()
    width, height = figure.bbox.width, figure.bbox.height
    boxes = [text.get_window_extent() for text in figure.texts]
    assert len(axes) == 5
    for box in [*boxes, *(one.get_tightbbox() for one in axes)]:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
    heading = max(boxes, key=lambda box: box.y0)
    assert heading.y0 >= max(one.get_tightbbox().y1 for one in axes)


def test_message_figure_says_it(tmp_path):
    figure = message_figure("no false negatives", "All 12 anomalous test images were detected.")
    assert "All 12 anomalous test images were detected." in [t.get_text() for t in figure.texts]
    png, pdf = save_figure(figure, tmp_path / "new", "message")
    assert png.read_bytes().startswith(b"\x89PNG") and pdf.read_bytes().startswith(b"%PDF")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["message.pdf", "message.png"]


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    figure = new_figure(1, 1)

    def full(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(figure, "savefig", full)
    with pytest.raises(DualadError, match=r"x\.png: cannot be written.*no space"):
        save_figure(figure, tmp_path, "x")
    assert list(tmp_path.iterdir()) == []


def test_a_mark_is_not_torn_from_its_note():
    for width in np.arange(1.0, 4.0, 0.1):
        figure = new_figure(width, 2, footnote="some words ¹ interpretation; ² random features")
        assert not any(line.endswith(("¹", "²")) for line in figure.texts[0].get_text().split("\n"))
