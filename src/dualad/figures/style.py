"""How every figure looks: theme, colour, line and marker of each method, and saving.

Colours are shades of seaborn's colour-blind palette; line styles, markers and hatches differ as
well, so that a print in grey can be read. Figures are plain `matplotlib.figure.Figure`s: nothing
here touches pyplot's current figure, and the theme is put back after each drawing.
"""

import logging
import re
import textwrap
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Tick
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import LogFormatterSciNotation

from dualad.design.families import FAMILIES, SEMI_SUPERVISED, Kind
from dualad.files import replacing

logger = logging.getLogger(__name__)

DPI = 150
NORMAL = "#56B4E9"
ANOMALOUS = "#D55E00"
INK = "#222222"
MUTED = "#6F6F6F"
CLASS_NAMES = ("normal", "anomalous")
CLASS_COLOURS = (NORMAL, ANOMALOUS)
CLASS_MARKERS = ("o", "^")
HATCH = "////"
TITLE_SIZE = 9.0
"""Points of the bold title above each drawing area."""
SIGMA = "\N{GREEK SMALL LETTER SIGMA}"

_HUES = [
    colour
    for i, colour in enumerate(sns.color_palette("colorblind").as_hex())
    if i not in (6, 7, 8)  # pale pink and yellow vanish on white, grey belongs to the controls
]
_SHADES: dict[Kind, tuple[float, float]] = {
    "dual": (0.0, -0.5),
    "semi-supervised": (-0.7, 0.5),
    "baseline": (-0.3, 0.25),
}
"""All hues in the first shade, then all in the second: share of white, or of black if negative."""
_GREYS = ("#4D4D4D", "#7A7A7A", "#A0A0A0", "#262626")
_LINES: dict[Kind, tuple[Any, ...]] = {
    "dual": ("-", (0, (5, 1.5)), (0, (4, 1.5, 1, 1.5)), (0, (1, 1)), (0, (9, 1.5, 1, 1.5))),
    "semi-supervised": ((0, (10, 1, 1, 1)), (0, (4, 1, 1, 1, 1, 1)), (0, (5, 1, 5, 3))),
    "baseline": ((0, (3, 1)), (0, (6, 1, 1, 1, 1, 1)), (0, (1, 2))),
    "control": ((0, (8, 2)), (0, (2, 2)), (0, (8, 2, 2, 2))),
}
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d", "*")
_FIRST_MARKERS: dict[Kind, int] = {
    "dual": 0,
    "semi-supervised": 3,
    "baseline": 6,
    "control": 0,
}
"""A baseline in the hue of a dual autoencoder has another marker."""
_TINT = 0.7
"""Share of white in a baseline's marker."""
_FONT = "DejaVu Sans"
_MEASURED = 20.0
"""Size in points at which texts are measured."""
_RC: dict[Any, Any] = {
    **sns.axes_style("whitegrid"),
    **sns.plotting_context("paper"),
    "font.family": _FONT,  # ships with matplotlib: the same text extents everywhere
    "font.size": 8.5,
    "axes.labelsize": 8.5,
    "axes.titlesize": TITLE_SIZE,
    "axes.titleweight": "bold",
    "axes.edgecolor": "#888888",
    "axes.linewidth": 0.8,
    "figure.titlesize": 10,
    "figure.titleweight": "bold",
    "figure.dpi": DPI,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "image.composite_image": False,  # else a PDF gets every picture at print resolution
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
}
_NAME_COLUMNS = 30
"""Width of a method's or a dataset's name."""
_UNDRAWABLE = ("Cc", "Cs", "Zl", "Zp")
"""Categories of Unicode: control characters, surrogates, separators of lines and paragraphs."""
_MARKS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_SUPERSCRIPTS = str.maketrans("0123456789", _MARKS)


@dataclass(frozen=True)
class Style:
    """Colour, line and marker of one method (or dataset) in every figure."""

    colour: str
    line: Any
    marker: str
    kind: Kind = "dual"

    @property
    def control(self) -> bool:
        """Whether it is a method without a network: what every other one has to beat."""
        return self.kind == "control"

    @property
    def face(self) -> str:
        """Marker filling: full for dual autoencoders, pale for baselines, none for controls.

        What learns from labels is filled on one half only, see `fill`.
        """
        if self.kind in ("dual", SEMI_SUPERVISED):
            return self.colour
        return "white" if self.control else _shaded(self.colour, _TINT)

    @property
    def fill(self) -> Literal["full", "left"]:
        """Matplotlib's name of the part of the marker that is filled."""
        return "left" if self.kind == SEMI_SUPERVISED else "full"

    @property
    def marking(self) -> dict[str, Any]:
        """Matplotlib's options of a method's marker: its form, its filling, its edge."""
        return {
            "marker": self.marker,
            "markerfacecolor": self.face,
            "fillstyle": self.fill,
            "markeredgecolor": self.colour,
        }


def styles(families: Mapping[str, str]) -> dict[str, Style]:
    """One style per name: no two look alike, and those of one kind have much in common.

    A baseline or a control looks the same whatever stands beside it, the first of its family at
    least; all others are told apart by their order.

    Parameters
    ----------
    families
        Family per method name, in the configuration's order. Given all methods of a configuration,
        a method looks the same in all figures. Names of an unknown family, datasets say, are styled
        like dual autoencoders.
    """
    seen: set[str] = set()
    later: Counter[Kind] = Counter()
    chosen: dict[str, Style] = {}
    for name, family in families.items():
        kind: Kind = FAMILIES[family].kind if family in FAMILIES else "dual"
        peers = [other for other, entry in FAMILIES.items() if entry.kind == kind]
        reserved = [] if kind == "dual" else peers
        if family in reserved and family not in seen:
            number = reserved.index(family)
        else:
            number = len(reserved) + later[kind]
            later[kind] += 1
        seen.add(family)
        chosen[name] = _style(kind, number)
    return chosen


def _style(kind: Kind, number: int) -> Style:
    """The look of the method of some number among those of a kind.

    The numbers of colours, of lines and of markers share no factor, or few: as pairs they differ
    for long.
    """
    colours = _GREYS if kind == "control" else _colours(kind)
    return Style(
        colours[number % len(colours)],
        _LINES[kind][number % len(_LINES[kind])],
        _MARKERS[(_FIRST_MARKERS[kind] + number) % len(_MARKERS)],
        kind,
    )


def _colours(kind: Kind) -> list[str]:
    return [_shaded(hue, share) for share in _SHADES[kind] for hue in _HUES]


class Footnotes:
    """Labels the methods and datasets of a figure, and collects their notes.

    Parameters
    ----------
    names
        All names in the figure. Long ones are shortened, and no two to the same text.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._notes: dict[str, str] = {}
        self._short = shortened_names(names, _NAME_COLUMNS)

    def label(self, name: str, notes: Sequence[str]) -> str:
        """The name, followed by the mark of its notes if it has any."""
        label = self._short.get(name, name)
        if not notes:
            return label
        text = "; ".join(notes)
        number = self._notes.setdefault(text, str(len(self._notes) + 1))
        return label + number.translate(_SUPERSCRIPTS)

    def text(self, *general: str) -> str:
        """The lines under the figure: general remarks, then the numbered notes."""
        numbered = [f"{n.translate(_SUPERSCRIPTS)} {text}" for text, n in self._notes.items()]
        return "; ".join(part for part in (*general, *numbered) if part)


@contextmanager
def themed() -> Iterator[None]:
    """Apply the theme inside a block, or around a function as `@themed()`."""
    with matplotlib.rc_context(_RC), warnings.catch_warnings():
        # `save_figure` chooses fonts for such characters, and says which ones have none.
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")
        yield


def new_figure(width: float, height: float, title: str = "", footnote: str = "") -> Figure:
    """A figure of `width` by `height` inches that belongs to the Agg canvas, not to pyplot.

    Parameters
    ----------
    width, height
        Both include what `title_height` and `footnote_height` ask for.
    title
        Bold, top left, wrapped.
    footnote
        Small, bottom left, wrapped.
    """
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(
            "\n".join(_title_lines(title, width)),
            x=0.1 / width,
            y=1 - 0.08 / height,
            ha="left",
            va="top",
        )
    if footnote:
        figure.text(
            0.1 / width,
            0.06 / height,
            "\n".join(_footnote_lines(footnote, width)),
            ha="left",
            va="bottom",
            fontsize=7,
            color=MUTED,
        )
    return figure


def title_height(title: str, width: float) -> float:
    """Inches that a title needs above the drawing."""
    return 0.14 + 0.17 * len(_title_lines(title, width))


def footnote_height(footnote: str, width: float) -> float:
    """Inches that a footnote needs below the drawing."""
    return 0.06 + 0.125 * len(_footnote_lines(footnote, width)) if footnote else 0.04


def text_width(texts: Iterable[str], size: float = 8.0, *, bold: bool = False) -> float:
    """Inches that the widest of some lines of text takes.

    Parameters
    ----------
    texts
        Lines of text.
    size
        Of the font, in points.
    bold
        Whether it is bold.
    """
    return max((_line_width(text, bold) for text in texts), default=0.0) * size / 72


@cache
def _line_width(text: str, bold: bool) -> float:
    """Width of a line in multiples of the font's size."""
    own = "".join(c for c in text if c in _characters(_FONT))
    font = get_font(findfont(FontProperties(family=_FONT, weight="bold" if bold else "normal")))
    font.set_size(_MEASURED, 72)
    font.set_text(own, 0.0)
    # Letters lie on whole pixels when they are drawn, which takes a little more.
    width = 1.03 * font.get_width_height()[0] / 64 / _MEASURED
    # Of characters in another font not much is known.
    return float(width + 0.6 * text_columns(c for c in text if c not in _characters(_FONT)))


def shortened(name: str, width: int) -> str:
    """A name that the user chose, as it is to be drawn.

    Parameters
    ----------
    name
        It may come from a file system, and hold any character.
    width
        Most columns that it takes; characters of wide scripts take two.

    Returns
    -------
    str
        The name, with an ellipsis in the middle, in place of what does not fit, and the replacement
        character in place of control characters and of bytes that are no text.
    """
    characters = [
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in _UNDRAWABLE else c for c in name
    ]
    if text_columns(characters) <= width:
        return "".join(characters)
    # Names of files, of cameras and of days often differ at their end only.
    head, tail = characters, characters
    while text_columns(head) > width // 2:
        head = head[:-1]
    while text_columns(tail) > (width - 1) // 2:
        tail = tail[1:]
    return "".join([*head, "\N{HORIZONTAL ELLIPSIS}", *tail])


def shortened_names(names: Iterable[str], width: int) -> dict[str, str]:
    """Names that the user chose, each as it is to be drawn, no two of them alike.

    Parameters
    ----------
    names
        As for `shortened`.
    width
        Most columns that a name takes, unless names that differ become alike: then as many as tell
        them apart.

    Returns
    -------
    dict
        What is drawn, by name.
    """
    unique = dict.fromkeys(names)
    drawn: dict[str, str] = {}
    for columns in range(width, max([width, *map(text_columns, unique)]) + 1):
        drawn = {name: shortened(name, columns) for name in unique}
        if len(set(drawn.values())) == len(drawn):
            break
    return drawn


def text_columns(characters: Iterable[str]) -> int:
    """Number of columns that some characters take: two for those of wide scripts."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in characters)


def set_log_x(axes: Axes) -> None:
    """Make the x axis logarithmic, with powers of ten as tick labels."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(_PowersOfTen(axes.xaxis.get_major_ticks))
    axes.xaxis.set_minor_formatter(_PowersOfTen(axes.xaxis.get_minor_ticks))


class _PowersOfTen(LogFormatterSciNotation):
    """Matplotlib's own labels of a logarithmic axis: the only texts that are mathematics."""

    def __init__(self, ticks: Callable[[int], Sequence[Tick]]) -> None:
        super().__init__()
        self._ticks = ticks

    def format_ticks(self, values: Any) -> list[str]:
        for tick in self._ticks(len(values)):
            tick.label1.set_parse_math(True)
        return super().format_ticks(values)


def method_handle(look: Style, label: str) -> Line2D:
    """Legend entry of a method that is drawn as a marker."""
    return Line2D(
        [],
        [],
        linestyle="none",
        markersize=6,
        label=label,
        **look.marking,
    )


def draw_points(
    axes: Axes, x: Sequence[float], y: Sequence[float], look: Style, face: str, layer: int
) -> None:
    """Draw points with a thick edge, whose filling tells ours from the paper's.

    Parameters
    ----------
    axes
        Where to draw.
    x, y
        (n,) places, in data coordinates.
    look
        Marker and colour of the edge.
    face
        Colour of the filling, or "none".
    layer
        Matplotlib's zorder.
    """
    axes.plot(
        x,
        y,
        marker=look.marker,
        markersize=6,
        markerfacecolor=face,
        markeredgecolor=look.colour,
        markeredgewidth=1.4,
        linestyle="none",
        zorder=layer,
    )


def add_legend(figure: Figure, handles: Sequence[Artist], below: float) -> None:
    """Put a legend, as wide as it can be, `below` inches under the top edge."""
    width, height = figure.get_size_inches()
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.05 / width, 1 - (below - 0.03) / height),
        bbox_transform=figure.transFigure,
        borderaxespad=0,
        ncols=_legend_columns(handles, width),
        labelspacing=0.3,
        columnspacing=1.4,
    )


def place_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches from the bottom left corner.

    Places are computed, not negotiated: constrained layout would double the time of a figure.
    """
    full_width, full_height = figure.get_size_inches()
    return figure.add_axes(
        (left / full_width, bottom / full_height, width / full_width, height / full_height)
    )


@themed()
def message_figure(title: str, message: str, footnote: str = "") -> Figure:
    """A panel that says why there is nothing to draw."""
    width = 6.0
    lines = textwrap.wrap(message, 80)
    above, below = title_height(title, width), footnote_height(footnote, width)
    height = above + below + 0.5 + 0.16 * len(lines)
    figure = new_figure(width, height, title, footnote)
    middle = (below + (height - above)) / 2
    figure.text(0.5, middle / height, "\n".join(lines), ha="center", va="center")
    return figure


def panels(
    count: int,
    *,
    columns: int,
    cell: tuple[float, float],
    title: str,
    footnote: str = "",
    legend: Sequence[Artist] = (),
    left: float = 0.6,
    gaps: tuple[float, float] = (0.3, 0.62),
    bottom: float = 0.46,
    above: float = 0.22,
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` axes in rows of `columns`, title, legend and footnote around them.

    Parameters
    ----------
    count, columns
        The last row may be shorter.
    cell
        Width and height of one drawing area, in inches like everything here.
    legend
        Handles of a legend between title and drawing.
    left, bottom
        Room for the outer tick labels and axis labels.
    gaps
        Between columns and between rows.
    above
        Room for the axes' own titles.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    inner = columns * cell[0] + (columns - 1) * gaps[0]
    width = max(left + inner + 0.15, 4.2)
    legend_rows = -(-len(legend) // _legend_columns(legend, width))
    head = title_height(title, width) + 0.04 * bool(legend_rows) + 0.16 * legend_rows + above
    foot = footnote_height(footnote, width) + bottom
    height = head + rows * cell[1] + (rows - 1) * gaps[1] + foot
    figure = new_figure(width, height, title, footnote)
    if legend:
        add_legend(figure, legend, title_height(title, width))
    axes = [
        place_axes(
            figure,
            left + (i % columns) * (cell[0] + gaps[0]),
            height - head - (i // columns) * (cell[1] + gaps[1]) - cell[1],
            *cell,
        )
        for i in range(count)
    ]
    return figure, axes


def save_figure(figure: Figure, folder: Path, stem: str) -> list[Path]:
    """Write `stem.png` and `stem.pdf` into `folder`; equal figures give equal bytes.

    Characters that the theme's font lacks are drawn in an installed font that has them; where there
    is none, they become boxes, and a warning names them.

    Returns
    -------
    list
        The two paths.

    Raises
    ------
    DualadError
        If a file cannot be written.
    """
    with themed():
        if missing := _choose_fonts(figure):
            logger.warning(
                "%s: no installed font has the characters %s, which are drawn as boxes; install a "
                "font that has them, such as one of the Noto fonts, and remove this figure",
                folder / stem,
                " ".join(f"{c} (U+{ord(c):04X})" for c in sorted(missing)),
            )
        return [
            _save(figure, folder / f"{stem}.png", {"Software": None}),
            _save(
                figure,
                folder / f"{stem}.pdf",
                {"Creator": None, "Producer": None, "CreationDate": None},
            ),
        ]


def _choose_fonts(figure: Figure) -> set[str]:
    """Add fonts to texts that need them; return the characters that no installed font has."""
    usual = _characters(_FONT)
    texts = [
        (text, needed)
        for text in figure.findobj(Text)
        if (needed := {c for c in text.get_text() if not c.isspace()} - usual)
    ]
    missing: set[str] = set().union(*(needed for _, needed in texts))
    fonts = {}
    for family in sorted(set(fontManager.get_font_names())) if missing else ():
        if not family.startswith("Last Resort") and (found := missing & _characters(family)):
            fonts[family] = found
            missing -= found
    for text, needed in texts:
        text.set_fontfamily([_FONT, *(family for family in fonts if needed & fonts[family])])
    return missing


@cache
def _characters(family: str) -> frozenset[str]:
    return frozenset(map(chr, get_font(findfont(family)).get_charmap()))


def _shaded(colour: str, share: float) -> str:
    """The colour mixed with a share of white, or of black if it is negative."""
    mixed = (1 - abs(share)) * np.array(to_rgb(colour)) + max(share, 0)
    return to_hex((mixed[0], mixed[1], mixed[2]))


def _save(figure: Figure, path: Path, metadata: dict[str, None]) -> Path:
    options: dict[str, Any] = {"pil_kwargs": {"compress_level": 3}} if path.suffix == ".png" else {}
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=DPI, metadata=metadata, **options)
    return path


def _title_lines(title: str, width: float) -> list[str]:
    return textwrap.wrap(title, int(width * 11)) or [""]


def _footnote_lines(footnote: str, width: float) -> list[str]:
    # A mark stays with its note: nothing is wrapped at a no-break space.
    joined = re.sub(rf"([{_MARKS}]) ", "\\1\N{NO-BREAK SPACE}", footnote)
    lines = textwrap.wrap(joined, int(width * 17))
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _legend_columns(handles: Sequence[Artist], width: float) -> int:
    """As many columns as fit, matplotlib filling them one after the other."""
    labels = [str(handle.get_label()) for handle in handles]
    for columns in range(len(labels), 1, -1):
        blocks = np.array_split(np.array(labels), columns)
        if sum(text_width(block) + 0.6 for block in blocks) < width:
            return columns
    return 1
