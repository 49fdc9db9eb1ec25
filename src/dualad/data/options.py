"""What a reader is, and what it is asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dualad.data.records import Listing
from dualad.design.datasets import DatasetEntry, FolderEntry, downloads_of
from dualad.errors import DualadError


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
    entry
        The keys of an entry with this reader.
    expected
        The layout in words, for error messages.
    licence, url
        Of embedded images; those of downloads are in `downloads.yaml`.
    """

    name: str
    scan: Callable[[Request], Listing]
    entry: type[DatasetEntry]
    expected: str = ""
    licence: str = ""
    url: str = ""

    @property
    def embedded(self) -> bool:
        """Whether the images ship inside a dependency, so that there is no path."""
        return not issubclass(self.entry, FolderEntry)

    @property
    def downloads(self) -> tuple[str, ...]:
        """The entries of `downloads.yaml` that have this layout."""
        return downloads_of(self.entry)
