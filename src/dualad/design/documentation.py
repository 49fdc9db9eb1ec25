"""Write down the configuration's keys: the JSON schema, and the tables of `config/README.md`.

`make config-docs` runs this module after a key has changed; a test fails until it has.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import yaml

from dualad.design import parameters, schema, sections
from dualad.design.datasets import ENTRIES, DatasetEntry
from dualad.design.families import FAMILIES
from dualad.design.keys import rows
from dualad.files import write_text

SCHEMA = Path("workflow/schemas/config.schema.yaml")
README = Path("config/README.md")

_TABLES = {
    "top level": sections.TopLevelKeys,
    "evaluation": parameters.EvaluationParams,
    "compute": parameters.ComputeParams,
    "dataset": DatasetEntry,
    "method": sections.MethodKeys,
    "all families": parameters.CommonParams,
    "threshold": parameters.ThresholdParams,
    "adaptive": parameters.AdaptiveParams,
    "search": parameters.SearchParams,
    "mc": parameters.MonteCarloParams,
    "colour": parameters.ColourParams,
    "features": parameters.FeatureParams,
    "supervised": parameters.SupervisedParams,
}
_PLACE = ("path", "download")
"""Keys that say where the images are; they come first."""
_BLOCK = re.compile(r"(<!-- keys: (.+?) -->\n).*?(<!-- end -->)", re.S)


def schema_text() -> str:
    """The schema as YAML, short mappings and lists in one line each."""
    return (
        "# Made by `make config-docs` from the fields in src/dualad/design: do not edit.\n"
        + yaml.dump(
            schema.config_schema(),
            Dumper=_WithoutAliases,
            sort_keys=False,
            width=100,
            default_flow_style=None,
            allow_unicode=True,
        )
    )


def with_tables(text: str) -> str:
    """The documentation with every block between `keys` and `end` made anew.

    Raises
    ------
    KeyError
        If a block has an unknown name.
    """

    def block(match: re.Match[str]) -> str:
        made = {"readers": _reader_table, "families": _family_tables, "studies": _study_tables}
        name = match[2]
        lines = made[name]() if name in made else _table(rows(_TABLES[name]))
        return f"{match[1]}{chr(10).join(lines)}\n{match[3]}"

    return _BLOCK.sub(block, text)


def main() -> None:
    """Write both files; the working directory is the folder of the project."""
    write_text(SCHEMA, schema_text())
    write_text(README, with_tables(README.read_text(encoding="utf-8")))


class _WithoutAliases(yaml.SafeDumper):
    """Writes a list that occurs twice twice, instead of a reference to it."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _table(
    lines: Sequence[Sequence[str]], head: Sequence[str] = ("key", "default", "values", "meaning")
) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for name, *cells in lines:
        yield f"| `{name}` | {' | '.join(cells)} |"


def _reader_table() -> Iterator[str]:
    """The keys that only some readers have, with the readers."""
    common = {field.name for field in fields(DatasetEntry)}
    readers: dict[tuple[str, ...], list[str]] = {}
    for reader, entry in ENTRIES.items():
        for row in rows(entry, inherited=True):
            if row[0] not in common:
                readers.setdefault(row, []).append(f"`{reader}`")
    lines = [
        (row[0], ", ".join(readers[row]), *row[1:])
        for row in sorted(readers, key=lambda row: row[0] not in _PLACE)
    ]
    return _table(lines, ("key", "readers", "default", "values", "meaning"))


def _family_tables() -> Iterator[str]:
    """The keys of every family that has some of its own."""
    for family, about in FAMILIES.items():
        own = rows(about.params)
        if own:
            source = f" ({about.title}, {about.publication})" if about.publication else ""
            yield from (f"`{family}`{source}:", "", *_table(own), "")


def _study_tables() -> Iterator[str]:
    for section, keys in (
        ("sweeps", sections.SweepKeys),
        ("batch_search", sections.BatchSearchKeys),
    ):
        yield from (f"`{section}`:", "", *_table(rows(keys, inherited=True)), "")


if __name__ == "__main__":
    main()
