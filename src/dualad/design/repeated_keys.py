"""Keys that stand twice in a configuration file, of which YAML keeps the last one alone."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from dualad.errors import DualadError


def refuse_repeated_keys(paths: Iterable[Path]) -> None:
    """Check configuration files.

    Parameters
    ----------
    paths
        Files in YAML or JSON. One that cannot be read is passed over: who uses it will say so.

    Raises
    ------
    DualadError
        If a mapping has a key twice; the message has a line for each, with the file and both lines.
    """
    problems = [problem for path in paths for problem in _problems(path)]
    if problems:
        raise DualadError(
            "A key may stand once; of two entries YAML drops the first. Join them:\n  "
            + "\n  ".join(problems)
        )


def _problems(path: Path) -> Iterator[str]:
    try:
        root = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except (OSError, RecursionError, UnicodeDecodeError, yaml.YAMLError):
        return
    # An alias leads to the same node again.
    seen: set[int] = set()
    pending = [("", root)]
    while pending:
        name, node = pending.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            pending.extend((f"{name}[{i}]", entry) for i, entry in enumerate(node.value))
        if not isinstance(node, yaml.MappingNode):
            continue
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            full = f"{name}.{key.value}" if name else str(key.value)
            pending += [("", key), (full, value)]
            # Several mappings may be merged into one; and 1 and "1" are two keys.
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            found, line = (key.tag, key.value), key.start_mark.line + 1
            if found in lines:
                yield f"{path}: {full} in line {lines[found]} and in line {line}"
            lines[found] = line
