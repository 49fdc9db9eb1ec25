"""The configuration keys of a dataset entry and their checks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dualad.data.records import Listing
from dualad.errors import DualadError

SPLIT_KEYS = frozenset({"protocol", "test_fraction", "validation_fraction", "split_seed"})
"""Keys of an entry that belong to `dualad.data.split`."""
OTHER_KEYS = SPLIT_KEYS | {"paper_name"}
"""Keys of an entry that say nothing of the images; `paper_name` is `dualad.paper.comparison`'s."""


@dataclass(frozen=True)
class Key:
    """One key of a dataset entry.

    Attributes
    ----------
    kind
        Type of its value; `integers` is a non-empty list of different integers.
    default
        Value where the key is absent; None where there is none.
    choices
        The strings that are allowed; empty for any.
    minimum, maximum
        Range of an integer, or of each integer of a list, both included.
    """

    kind: Literal["boolean", "string", "integer", "integers"]
    default: Any = None
    choices: tuple[str, ...] = ()
    minimum: int = 0
    maximum: int | None = None

    def check(self, where: str, value: object) -> Any:
        """Return the value, or raise `DualadError` that names the key `where`."""
        if not self._accepts(value):
            raise DualadError(f"{where}: expected {self._describe()}, got {value!r}")
        return value

    def _accepts(self, value: object) -> bool:
        if self.kind == "boolean":
            return isinstance(value, bool)
        if self.kind == "string":
            return (
                isinstance(value, str)
                and value != ""
                and (not self.choices or value in self.choices)
            )
        if self.kind == "integer":
            return self._is_in_range(value)
        return (
            isinstance(value, list | tuple)
            and len(value) > 0
            and all(self._is_in_range(item) for item in value)
            and len(set(value)) == len(value)
        )

    def _is_in_range(self, value: object) -> bool:
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and value >= self.minimum
            and (self.maximum is None or value <= self.maximum)
        )

    def _describe(self) -> str:
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind == "boolean":
            return "true or false"
        if self.kind == "string":
            return "a non-empty text"
        interval = (
            f">= {self.minimum}"
            if self.maximum is None
            else (f"from {self.minimum} to {self.maximum}")
        )
        if self.kind == "integer":
            return f"an integer {interval}"
        return f"a non-empty list of different integers {interval}"


@dataclass(frozen=True)
class Request:
    """What a reader is asked to list: a checked dataset entry.

    Attributes
    ----------
    name
        The dataset's name in the configuration.
    root
        The folder or file of the data; an empty path for embedded data.
    options
        Value of each of the reader's keys, defaults filled in.
    """

    name: str
    root: Path
    options: Mapping[str, Any]

    def error(self, message: str) -> DualadError:
        """Build an error about this dataset; the message is prefixed with its name."""
        return DualadError(f"dataset {self.name}: {message}")


@dataclass(frozen=True)
class Reader:
    """One layout of a dataset on disk.

    Attributes
    ----------
    name
        Value of the key `reader`.
    scan
        Lists the images without decoding them.
    keys
        The reader's own keys.
    downloads
        The entries of `downloads.yaml` that have this layout.
    embedded
        Whether the images ship inside a dependency, so that there is no path.
    expected
        The layout in words, for error messages.
    """

    name: str
    scan: Callable[[Request], Listing]
    keys: Mapping[str, Key] = field(default_factory=dict)
    downloads: tuple[str, ...] = ()
    embedded: bool = False
    expected: str = ""
    licence: str = ""
    url: str = ""

    def all_keys(self) -> dict[str, Key]:
        """Every key that `dualad.data` reads from an entry with this reader, except `reader`."""
        keys = {"skip_unreadable": Key("boolean", default=False), **self.keys}
        if not self.embedded:
            keys["path"] = Key("string")
            if self.downloads:
                keys["download"] = Key("string", choices=self.downloads)
        return keys
