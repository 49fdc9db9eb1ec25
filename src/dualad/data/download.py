"""Fetch public datasets: checksummed, resumable, and unpacked without trusting the archive."""

import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import yaml
from tqdm import tqdm

from dualad.errors import DualadError, brief
from dualad.files import relative_to_here, write_json
from dualad.progress import INTERVAL_SECONDS, LogStream

_BLOCK = 1 << 16
"""Bytes per read; what was read of a block is lost when a connection breaks."""

_ATTEMPTS = 5
_TIMEOUT_S = 30


_ARCHIVE_DAMAGES = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error),
    # Of zipfile: an unknown compression, or a password.
    *(EOFError, RuntimeError, ValueError, struct.error),
)
"""What reading a damaged archive raises."""


@dataclass(frozen=True)
class Download:
    """A public dataset that can be fetched; an entry of `downloads.yaml`.

    Attributes
    ----------
    key
        Its name, and that of its folder in the resources.
    title
        What it is.
    url
        Address of the file.
    file
        The file's name.
    hash
        `algorithm:digest`.
    unpack
        Whether the file is an archive.
    licence
        Licence of the data.
    page
        Where a person reads about it.
    """

    key: str
    title: str
    url: str
    file: str
    hash: str
    unpack: bool
    licence: str
    page: str

    def root(self, resources_dir: Path) -> Path:
        """Locate the folder of the unpacked archive, or the file."""
        folder = resources_dir / self.key
        return folder if self.unpack else folder / self.file


def _load() -> dict[str, Download]:
    text = files("dualad.data").joinpath("downloads.yaml").read_text(encoding="utf-8")
    return {key: Download(key=key, **values) for key, values in yaml.safe_load(text).items()}


DOWNLOADS: dict[str, Download] = _load()


def absent_message(name: str, root: Path, download: str | None, alternatives: Sequence[str]) -> str:
    """Say what to do about a dataset whose files are not there.

    Parameters
    ----------
    name
        The dataset's name.
    root
        Where its files were expected.
    download
        The entry's key `download`, if it has one.
    alternatives
        The downloads that have the layout of the dataset's reader.
    """
    message = f"dataset {name}: {root}{relative_to_here(root)} does not exist."
    sources = [DOWNLOADS[key] for key in ([download] if download else alternatives)]
    if not sources:
        return f"{message} Correct datasets.{name}.path."
    source = sources[0]
    about = f"{source.title} ({source.page}, licence: {source.licence})"
    if download:
        return (
            f"{message} It should hold {about}. Let the workflow download it from {source.url} "
            f"(if it was there before, delete {source.key}.json in the folder of the downloads "
            f"first), or put {'the unpacked archive' if source.unpack else 'the file'} at {root} "
            f"yourself, or put datasets.{name}.path, where it is, in place of `download`."
        )
    return (
        f"{message} Correct datasets.{name}.path, or, for {about}, replace it by "
        f"datasets.{name}.download: {source.key}."
    )


def download_dataset(
    name: str,
    entry: dict[str, Any],
    resources_dir: str | Path = "resources",
    progress: bool = False,
) -> Path:
    """Fetch the data of an entry with the key `download`, unless it is there already.

    An interrupted transfer leaves a `.part` file and goes on from there the next time. Files that
    the user has put into the download's folder are used as they are and never overwritten.

    Parameters
    ----------
    name, entry
        The dataset's name and its mapping in the configuration.
    resources_dir
        Folder of the downloads; the data goes to `<resources_dir>/<download>/`.
    progress
        Show progress bars.

    Returns
    -------
    pathlib.Path
        `<resources_dir>/<download>.json`: what was fetched from where, under which licence.

    Raises
    ------
    DualadError
        If the entry has no download, the transfer fails, the checksum does not match, an archive's
        entry escapes its folder, or the disk is full.
    """
    download = DOWNLOADS.get(entry.get("download", ""))
    if download is None:
        raise DualadError(
            f"datasets.{name}.download: {entry.get('download')!r} cannot be downloaded; choose one "
            f"of {', '.join(DOWNLOADS)}, or set datasets.{name}.path to a folder of your own"
        )
    resources = Path(resources_dir)
    root = download.root(resources)
    found = _is_present(root)
    try:
        if not found:
            _fetch_and_place(download, resources, progress)
        record = resources / f"{download.key}.json"
        content = {**asdict(download), "placed_by": "user" if found else "download"}
        write_json(record, content)
    except OSError as error:
        raise DualadError(
            f"{download.title}: cannot write below {resources} ({error.strerror or error}); "
            "free some space or correct the permissions and run again"
        ) from error
    return record


def _is_present(root: Path) -> bool:
    return root.is_file() or (root.is_dir() and any(root.iterdir()))


def _fetch_and_place(download: Download, resources: Path, progress: bool) -> None:
    resources.mkdir(parents=True, exist_ok=True)
    if not download.unpack:
        folder = resources / download.key
        folder.mkdir(exist_ok=True)
        _fetch(download, folder, progress)
        return
    archive = _fetch(download, resources, progress)
    unpack(archive, resources / download.key, progress)
    archive.unlink()


def _fetch(download: Download, folder: Path, progress: bool) -> Path:
    """Fetch the file into a folder and verify it."""
    # pooch imports requests, which costs a quarter of a second that most callers do not need.
    import pooch

    # It would announce the download next to the progress bar.
    pooch.get_logger().setLevel("WARNING")

    part = folder / f"{download.file}.part"

    def resume(url: str, output: str, _: object) -> None:
        _transfer(url, part, download, progress)
        os.replace(part, output)

    try:
        return Path(
            pooch.retrieve(
                download.url,
                known_hash=download.hash,
                fname=download.file,
                path=folder,
                downloader=resume,
            )
        )
    except ValueError as error:
        raise DualadError(
            f"{download.url}: the file's checksum is not {download.hash}, so it is damaged or was "
            f"changed; nothing was kept. Run again, or fetch it from {download.page} yourself and "
            f"put it at {download.root(folder.parent if not download.unpack else folder)}"
        ) from error


def _transfer(url: str, part: Path, download: Download, progress: bool) -> None:
    """Download to `part`, going on where an earlier transfer stopped."""
    import requests

    for attempt in range(_ATTEMPTS):
        try:
            if _transfer_once(url, part, progress):
                return
            reason: object = "the connection ended early"
        except requests.HTTPError as error:
            reason = error
            break
        except requests.RequestException as error:
            reason = error
        if attempt + 1 < _ATTEMPTS:
            time.sleep(_pause(attempt))
    raise DualadError(
        f"{url}: download failed ({reason}); run again to go on from where it stopped, or fetch it "
        f"from {download.page} yourself (licence: {download.licence})"
    )


def _pause(attempt: int) -> float:
    return float(2**attempt)


def _transfer_once(url: str, part: Path, progress: bool) -> bool:
    """Append what is missing of a file; False if the connection ended before its end."""
    import requests

    have = part.stat().st_size if part.exists() else 0
    # A compressed transfer would make the ranges and lengths those of something else.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            # Nothing is left to fetch, or the file has changed: then start afresh.
            if response.headers.get("Content-Range", "").endswith(f"/{have}"):
                return True
            part.unlink()
            return False
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        start = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with (
            part.open("ab" if resumed else "wb") as output,
            tqdm(
                total=total,
                initial=start,
                desc=f"downloading {part.name.removesuffix('.part')}",
                unit="B",
                unit_scale=True,
                file=LogStream(),
                mininterval=INTERVAL_SECONDS,
                disable=not progress,
            ) as bar,
        ):
            for block in response.iter_content(_BLOCK):
                output.write(block)
                bar.update(len(block))
    return total is None or part.stat().st_size == total


def unpack(archive: Path, target: Path, progress: bool = False) -> None:
    """Unpack an archive into a new folder, which appears only when it is complete.

    Parameters
    ----------
    archive
        A .zip, or a .tar with any compression.
    target
        The folder; must not exist, or be empty.
    progress
        Show a progress bar.

    Raises
    ------
    DualadError
        If an entry would leave the folder, is a device, needs a password or more room than there
        is, if the archive is damaged, or the folder cannot be written.
    """
    temporary = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, temporary, progress)
        else:
            _unpack_tar(archive, temporary, progress)
        os.replace(temporary, target)
    except tarfile.FilterError as error:
        raise _escape(archive, error.tarinfo.name) from error
    except _ARCHIVE_DAMAGES as error:
        raise DualadError(
            f"{archive}: damaged, or not an archive that can be read ({brief(error)}); delete it "
            "and run again"
        ) from error
    except OSError as error:
        raise DualadError(
            f"{archive}: cannot be unpacked to {target} ({error.strerror or error}); free some "
            "space or correct the permissions; if an entry is at fault, fetch the archive again"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unpack_zip(archive: Path, folder: Path, progress: bool) -> None:
    with zipfile.ZipFile(archive) as opened:
        _require_room(archive, sum(info.file_size for info in opened.infolist()), folder)
        for info in tqdm(
            opened.infolist(),
            desc=f"unpacking {archive.name}",
            file=LogStream(),
            mininterval=INTERVAL_SECONDS,
            disable=not progress,
        ):
            # zipfile would write a link as a file with the target's name in it.
            if _leaves_folder(info.filename) or stat.S_ISLNK(info.external_attr >> 16):
                raise _escape(archive, info.filename)
            opened.extract(info, folder)


def _unpack_tar(archive: Path, folder: Path, progress: bool) -> None:
    with (
        archive.open("rb") as raw,
        tqdm.wrapattr(
            raw,
            "read",
            total=archive.stat().st_size,
            desc=f"unpacking {archive.name}",
            file=LogStream(),
            mininterval=INTERVAL_SECONDS,
            disable=not progress,
        ) as source,
        tarfile.open(fileobj=cast(IO[bytes], source)) as opened,
    ):
        for member in opened:
            if _leaves_folder(member.name):
                raise _escape(archive, member.name)
            _require_room(archive, member.size, folder)
            # The filter refuses devices and links that point outside.
            opened.extract(member, folder, filter="data")


def _require_room(archive: Path, size: int, folder: Path) -> None:
    """Refuse to write `size` bytes that the disk has no room for, before any of them is written."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DualadError(
            f"{archive}: unpacked, it takes {size / 1e9:.1f} GB or more, but {folder.parent} has "
            f"only {free / 1e9:.1f} GB left; free some space and run again, or, if the archive "
            "should not be so large, delete it and fetch it from its publisher"
        )


def _leaves_folder(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in path.parts[0] if path.parts else False


def _escape(archive: Path, name: str) -> DualadError:
    return DualadError(
        f"{archive}: its entry {name!r} would be written outside its folder; nothing was unpacked. "
        "Do not trust this archive: delete it and fetch it from its publisher"
    )
