"""From a template to one file that needs no other: style and script stand inside it."""

import json
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dualad.files import write_text

_SURROGATES = re.compile("[\ud800-\udfff]")
"""Bytes of a file's name that are no text; UTF-8 has no place for them."""


def write_page(path: Path, template: str, **values: Any) -> None:
    """Fill in a template of `dualad/pages/templates` and write the page whole or not at all.

    Every value is escaped, whatever characters it holds.

    Parameters
    ----------
    path
        The HTML file.
    template
        Name of the template's file.
    values
        What the template names.

    Raises
    ------
    DualadError
        If the file cannot be written.
    """
    page = _ENVIRONMENT.get_template(template).render(values)
    write_text(path, _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", page))


def link(path: str | PurePosixPath) -> str:
    """A relative path as a link, whatever characters it holds."""
    return quote(os.fsencode(str(path)))


def _source(name: str) -> Markup:
    """The text of a style sheet or a script, to stand in a page as it is."""
    return Markup(_LOADER.get_source(_ENVIRONMENT, name)[0])


def _data(values: Any) -> Markup:
    """Plain values as JSON that may stand inside a `script` element.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    text = json.dumps(values, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e"))


def _number(value: float | None, digits: int = 4) -> str:
    """A number with some significant digits; a dash for None and NaN."""
    return "\N{EN DASH}" if value is None or value != value else f"{value:.{digits}g}"


_LOADER = PackageLoader("dualad.pages")
_ENVIRONMENT = Environment(
    loader=_LOADER,
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.globals |= {"source": _source}
_ENVIRONMENT.filters |= {"data": _data, "number": _number, "link": link}
