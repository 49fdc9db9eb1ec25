"""From a dataset entry of the configuration to the list of its images."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from dualad.data.download import DOWNLOADS, absent_message
from dualad.data.options import Reader, Request
from dualad.data.readers import bmad, embedded, folder, medmnist, mvtec, mvtec3d, ucsd
from dualad.data.records import Listing
from dualad.design.keys import default_of
from dualad.design.schema import check_entry
from dualad.errors import DualadError

READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (
        mvtec.READER,
        mvtec3d.READER,
        bmad.READER,
        ucsd.READER,
        medmnist.READER,
        folder.READER,
        embedded.DIGITS,
        embedded.FACES,
        embedded.TEXTURE,
        embedded.VIEWS,
    )
}


def parse_entry(name: str, entry: Mapping[str, Any]) -> tuple[Reader, dict[str, Any]]:
    """Check a dataset entry.

    Parameters
    ----------
    name
        The dataset's name, for messages.
    entry
        Its mapping in the configuration.

    Returns
    -------
    reader : Reader
        The reader that it names.
    options : dict
        Value of each key that decides about the images, defaults filled in.

    Raises
    ------
    DualadError
        On an unknown reader or key, a missing key, or a value of the wrong type or range.
    """
    check_entry(f"datasets.{name}", entry)
    reader = READERS[entry["reader"]]
    options = {
        field.name: entry.get(field.name, default_of(field))
        for field in fields(reader.entry)
        if field.metadata["stage"] == "data"
    }
    return reader, options


def dataset_root(
    name: str, entry: Mapping[str, Any], resources_dir: str | Path = "resources"
) -> Path | None:
    """Where a dataset's files are expected: `path`, or a subfolder of the downloads.

    Returns None for embedded data. Nothing is looked up on disk.
    """
    reader, options = parse_entry(name, entry)
    if reader.embedded:
        return None
    if options["path"]:
        return Path(options["path"]).expanduser()
    return DOWNLOADS[options["download"]].root(Path(resources_dir))


def list_records(
    name: str, entry: Mapping[str, Any], resources_dir: str | Path = "resources"
) -> Listing:
    """List a dataset's images without decoding them.

    Raises
    ------
    DualadError
        If the entry is wrong, the data absent, a mask without an image, or no normal training
        image found.
    """
    reader, options = parse_entry(name, entry)
    root = dataset_root(name, entry, resources_dir) or Path()
    if not reader.embedded and not root.exists():
        raise DualadError(absent_message(name, root, options.get("download"), reader.downloads))
    request = Request(name, root, options)
    listing = reader.scan(request)
    _check(request, listing, reader)
    return listing


def describe(name: str, entry: Mapping[str, Any]) -> tuple[str, str]:
    """Licence and address of a dataset; empty where they are not known.

    A folder in a public dataset's layout may hold other images, so its licence is conditional.
    """
    reader, options = parse_entry(name, entry)
    if not reader.downloads:
        return reader.licence, reader.url
    fetched = options.get("download")
    source = DOWNLOADS[fetched or reader.downloads[0]]
    condition = "" if fetched else ", if the images come from this page"
    return f"{source.licence}{condition}", source.page


def _check(request: Request, listing: Listing, reader: Reader) -> None:
    if not any(r.official_split == "train" and r.label == 0 for r in listing.records):
        raise request.error(
            f"no normal training images in {request.root}; the reader {reader.name} expects "
            f"{reader.expected}"
        )
    source, count = Counter(record.source for record in listing.records).most_common(1)[0]
    if count > 1:
        raise request.error(f"{count} images have the same name {source}; rename them")
    for record in listing.records:
        try:
            record.source.encode()
        except UnicodeEncodeError as error:
            raise request.error(
                f"the name of {record.source!r} is not valid UTF-8; rename the file"
            ) from error
