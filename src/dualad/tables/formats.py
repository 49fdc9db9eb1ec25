"""One table in four formats: CSV, Markdown, LaTeX, HTML."""

import csv
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dualad.files import write_text

NO_VALUE = "\N{EN DASH}"
"""What a cell without a value shows."""
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
"""Stands between a mean and a standard deviation."""


@dataclass(frozen=True)
class Table:
    """Cells as text for people, and records for machines."""

    caption: str
    label: str
    head: list[str]
    rows: list[list[str]]
    texts: int
    """How many columns, from the left, hold text; the last holds text too."""
    records: Sequence[Mapping[str, Any]]
    """The CSV: one mapping per row, all with the same keys; None is an empty cell."""
    columns: Sequence[str] = ()
    """Those keys, for a table that may have no row: its CSV then has a head all the same."""
    breaks: frozenset[int] = frozenset()
    """Rows that start a new block."""
    titles: Mapping[int, str] = field(default_factory=dict)
    """Titles of blocks, by the row that a title stands above."""
    bold: frozenset[tuple[int, int]] = frozenset()
    """Cells (row, column) that are set off."""
    wrapped: frozenset[int] = frozenset()
    """Columns of text too long for one line."""


def write_table(prefix: Path | str, table: Table) -> list[Path]:
    """Write a table as CSV, Markdown, LaTeX (booktabs) and HTML.

    Parameters
    ----------
    prefix
        Path without suffix; its folder is made if missing.
    table
        What to write.

    Returns
    -------
    list
        The four files.

    Raises
    ------
    DualadError
        If a file cannot be written.
    """
    prefix = Path(prefix)
    texts = {
        ".csv": _to_csv(table),
        ".md": _to_markdown(table),
        ".tex": _to_latex(table),
        ".html": _to_html(table),
    }
    paths = [prefix.with_name(prefix.name + suffix) for suffix in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_text(path, text)
    return paths


def _to_csv(table: Table) -> str:
    buffer = io.StringIO()
    fields = list(table.records[0]) if table.records else list(table.columns)
    writer = csv.DictWriter(buffer, fieldnames=fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.records)
    return buffer.getvalue()


def _to_markdown(table: Table) -> str:
    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    rules = [
        "---" if i < table.texts or i == len(table.head) - 1 else "---:"
        for i in range(len(table.head))
    ]
    lines = [line(map(_markdown, table.head)), line(rules)]
    for i, row in enumerate(table.rows):
        if i in table.titles:
            lines.append(line([f"**{_markdown(table.titles[i])}**", *[""] * (len(row) - 1)]))
        cells = map(_markdown, row)
        lines.append(line(f"**{c}**" if (i, j) in table.bold else c for j, c in enumerate(cells)))
    return "\n".join([*lines, "", table.caption, ""])


def _markdown(text: str) -> str:
    """A cell, in which no character is markup: emphasis, code, mathematics, HTML or an entity."""
    escaped = re.sub(r"[\\|_*`$~]|<(?=[A-Za-z/!?])|&(?=#?\w+;)|\](?=\()", r"\\\g<0>", text)
    return _one_line(escaped)


def _one_line(text: str) -> str:
    """The text without line breaks, which would end a row of Markdown or LaTeX."""
    return " ".join(text.splitlines())


_LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    NO_VALUE: "--",
    PLUS_MINUS: r"$\pm$",
    **{character: f"\\{character}" for character in "&%$#_"},
}


def _latex(text: str) -> str:
    return "".join(_LATEX_ESCAPES.get(character, character) for character in _one_line(text))


def _latex_cell(text: str) -> str:
    if power := re.fullmatch(r"(-?[\d.]+)e([-+]\d+)", text):
        return rf"${power[1]} \times 10^{{{int(power[2])}}}$"
    value, bracket, interval = (
        re.sub(r"(?<!\d)-(?=\d)", "$-$", _latex(part)) for part in text.partition(" [")
    )
    return f"{value} {{\\scriptsize [{interval}}}" if bracket else value


def _to_latex(table: Table) -> str:
    numbers = max(len(table.head) - table.texts - 1, 0)
    kinds = ["l" if j < table.texts else "r" for j in range(table.texts + numbers)] + ["l"]
    kinds = [
        r"p{5cm}" if j in table.wrapped else kind for j, kind in enumerate(kinds[: len(table.head)])
    ]
    lines = [
        "% Needs the packages booktabs and graphicx.",
        r"\begin{table*}",
        rf"\caption{{{_latex(table.caption)}}}",
        rf"\label{{{table.label}}}",
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{{''.join(kinds)}}}",
        r"\toprule",
        " & ".join(map(_latex, table.head)) + r" \\",
        r"\midrule",
    ]
    for i, row in enumerate(table.rows):
        if i in table.breaks:
            lines.append(r"\midrule")
        if i in table.titles:
            title = rf"\textbf{{{_latex(table.titles[i])}}}"
            lines.append(rf"\multicolumn{{{len(row)}}}{{l}}{{{title}}} \\")
        cells = [
            _latex_cell(cell) if table.texts <= j < table.texts + numbers else _latex(cell)
            for j, cell in enumerate(row)
        ]
        cells = [rf"\textbf{{{c}}}" if (i, j) in table.bold else c for j, c in enumerate(cells)]
        # After a line's end, a bracket or an asterisk would be an argument.
        guard = "{}" if cells[0].startswith(("[", "*")) else ""
        lines.append(guard + " & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}", r"\end{table*}", ""])


_CSS = (
    "table.dualad{border-collapse:collapse;font:13px sans-serif}"
    "table.dualad th,table.dualad td{padding:3px 8px;text-align:right;white-space:nowrap}"
    "table.dualad .text{text-align:left}table.dualad .notes{white-space:normal;min-width:22em}"
    "table.dualad th{border-bottom:1.5px solid #444}"
    # The report's own style sheet gives the plainer name `block` another meaning.
    "table.dualad tr.new-dataset td{border-top:1px solid #bbb}"
    "table.dualad small{color:#666;display:block}"
    "table.dualad caption{caption-side:bottom;text-align:left;padding-top:8px;color:#444}"
)


def _to_html(table: Table) -> str:
    """A fragment that browsers show as a page: the report's first page holds it as well."""

    def cell(tag: str, text: str, column: int, bold: bool) -> str:
        value, bracket, interval = text.partition(" [")
        number = table.texts <= column < len(table.head) - 1
        inside = html.escape(text)
        if number and bracket:
            inside = f"{html.escape(value)}<small>[{html.escape(interval)}</small>"
        if bold:
            inside = f"<strong>{inside}</strong>"
        wraps = column == len(table.head) - 1 or column in table.wrapped
        kind = "" if number else ' class="text notes"' if wraps else ' class="text"'
        return f"<{tag}{kind}>{inside}</{tag}>"

    def line(tag: str, row: Sequence[str], i: int | None = None) -> str:
        cells = "".join(
            cell(tag, c, column, (i, column) in table.bold) for column, c in enumerate(row)
        )
        return f'<tr class="new-dataset">{cells}</tr>' if i in table.breaks else f"<tr>{cells}</tr>"

    rows = []
    for i, row in enumerate(table.rows):
        if i in table.titles:
            title = html.escape(table.titles[i])
            rows.append(f'<tr><th class="text" colspan="{len(row)}">{title}</th></tr>')
        rows.append(line("td", row, i))
    return "\n".join(
        [
            f'<meta charset="utf-8"><style>{_CSS}</style>',
            '<table class="dualad">',
            f"<caption>{html.escape(table.caption)}</caption>",
            f"<thead>{line('th', table.head)}</thead>",
            "<tbody>",
            *rows,
            "</tbody></table>",
            "",
        ]
    )
