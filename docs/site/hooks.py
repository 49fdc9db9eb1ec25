"""What the site needs beyond Markdown: paths of the repository, equations, options of commands."""

import argparse
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from dualad.cli import argument_parser

ROOT = Path(__file__).resolve().parents[2]
BESIDE_DOCS = ("*.md", "*.cff", "LICENSE", "config/*")
"""What pages link to outside `docs/`."""
_COMMANDS = "<!-- commands -->"
_EQUATION = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.S)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Give every file its path in the repository, so that links between pages hold in both."""
    docs = Path(config.docs_dir)
    for file in list(files):
        if file.abs_src_path and Path(file.abs_src_path).is_relative_to(docs):
            files.remove(file)
            if file.inclusion.is_included():
                files.append(_placed(Path(file.abs_src_path), config))
    for pattern in BESIDE_DOCS:
        for path in sorted(ROOT.glob(pattern)):
            files.append(_placed(path, config))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark for the commands by all that the parser of the command line knows."""
    return markdown.replace(_COMMANDS, "\n".join(_commands()))


def on_page_content(html: str, **_: Any) -> str:
    """Turn LaTeX into MathML, which browsers draw without a script or a font."""
    return _EQUATION.sub(_mathml, html)


def _placed(path: Path, config: MkDocsConfig) -> File:
    return File.generated(config, str(path.relative_to(ROOT)), abs_src_path=str(path))


def _mathml(match: re.Match[str]) -> str:
    display = "block" if match[1] == "div" else "inline"
    return convert(unescape(match[2]), display=display)


def _commands() -> Iterator[str]:
    (commands,) = (
        action
        for action in argument_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    for name, parser in commands.choices.items():
        yield f"## dualad {name}\n\n{parser.description}\n\n```text\n{parser.format_usage()}```\n"
        yield "| argument | meaning |\n|---|---|"
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                yield f"| `{_forms(action)}` | {(action.help or '') % vars(action)} |"
        yield ""


def _forms(action: argparse.Action) -> str:
    """How an argument is written on the command line."""
    if not action.option_strings:
        return action.dest
    names = ", ".join(action.option_strings)
    if action.nargs == 0:
        return names
    choices = "{" + ",".join(map(str, action.choices or ())) + "}"
    return f"{names} {action.metavar or (choices if action.choices else action.dest.upper())}"
