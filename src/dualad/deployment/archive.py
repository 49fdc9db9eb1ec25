"""The format of an exported detector: one file, checked before anything in it is used.

A zip file in which nothing is compressed, so that no member can be larger than the file, and every
member lies in one folder under a name that is known beforehand. The first member is a manifest. The
file ends with a SHA-256 of all that is before it, so a byte that changes is noticed wherever it is.

A checksum says that a file is whole, not that its sender is honest. So the members themselves are
checked as well (`dualad.deployment.contents`): nothing in them can run code.
"""

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from dualad.deployment.contents import ContentError, check_content
from dualad.design.families import FAMILIES
from dualad.errors import DualadError, brief
from dualad.files import replacing
from dualad.results.experiment import method_folder

FORMAT = "dualad detector"
VERSION = 1
"""Of the format. A file of a higher version is refused."""
MANIFEST = "manifest.json"
SUFFIX = ".dualad"

_SEAL = b"sha256 "
_DIGITS = 64
_MOST_MANIFEST_BYTES = 2**20
_BLOCK = 2**20
_DATE = (1980, 1, 1, 0, 0, 0)
"""Of every member: equal contents give equal bytes, and the manifest says when."""


def write_archive(path: Path, about: Mapping[str, Any], members: Mapping[str, bytes]) -> None:
    """Write a file of members, whole or not at all.

    Parameters
    ----------
    path
        The file; replaced if there is one.
    about
        What the manifest says beside format, version, and sizes and checksums of the members.
    members
        Content by name.

    Raises
    ------
    DualadError
        If the file cannot be written.
    """
    listed = {name: _described(content) for name, content in members.items()}
    manifest = {"format": FORMAT, "format_version": VERSION, **about, "members": listed}
    text = json.dumps(manifest, indent=2, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        with zipfile.ZipFile(temporary, "w") as file:
            for name, content in {MANIFEST: text.encode(), **members}.items():
                file.writestr(zipfile.ZipInfo(name, _DATE), content)
            file.comment = _SEAL + bytes(_DIGITS)
        seal(temporary)


def seal(path: Path) -> None:
    """Write the checksum of all that is before it to the end of a file that has room for it."""
    with path.open("r+b") as file:
        digest = _digest(file, path.stat().st_size - _DIGITS)
        file.write(digest.encode())


@contextmanager
def extracted(path: Path) -> Iterator[Path]:
    """Check an exported detector, and unpack it to a folder that is removed afterwards.

    Yields
    ------
    pathlib.Path
        The folder. What is wrong with a file in it is said of `path`.

    Raises
    ------
    DualadError
        If the file is damaged, cut short, of a newer version, or no export; if its members are not
        those of the method that it names, or hold what could run code; or if they cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="dualad-") as name:
        folder = Path(name)
        try:
            _unpack(path, folder)
        except (OSError, zipfile.BadZipFile, RuntimeError) as error:
            raise refused(path, f"it cannot be read ({brief(error)})") from error
        try:
            yield folder
        except DualadError as error:
            raise DualadError(str(error).replace(str(folder), str(path))) from error


@contextmanager
def method_files(path: Path) -> Iterator[Path]:
    """The folder with a method's files: in the result tree, or unpacked for as long as it is used.

    Parameters
    ----------
    path
        A method's folder, a dataset's for its recommended method, or an exported detector.

    Raises
    ------
    DualadError
        As for `extracted`, or if the folder has no recommended method.
    """
    if not path.is_file():
        yield method_folder(path)
        return
    with extracted(path) as folder:
        yield folder


def refused(path: Path, reason: str) -> DualadError:
    """What to say of a file that is not read as a detector."""
    return DualadError(
        f"{path}: {reason}; copy it again, or make it anew with `dualad export` from the results"
    )


def read_manifest(path: Path) -> dict[str, Any]:
    """What an exported detector says of itself; the file is checked as by `extracted`.

    Raises
    ------
    DualadError
        As for `extracted`.
    """
    with extracted(path) as folder:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return manifest


def _unpack(path: Path, folder: Path) -> None:
    _check_seal(path)
    with zipfile.ZipFile(path) as file:
        manifest = _manifest(path, file)
        (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        for name, described in manifest["members"].items():
            content = file.read(name)
            if described != _described(content):
                raise refused(path, f"{name} in it is not what its manifest says")
            try:
                check_content(name, content)
            except ContentError as error:
                raise refused(path, f"{name} in it is not read: {error}") from error
            (folder / name).write_bytes(content)


def _check_seal(path: Path) -> None:
    """Tell a whole file from a damaged one, and either from a file of another kind."""
    with path.open("rb") as file:
        # The name of the first member follows a header of 30 bytes.
        if file.read(30 + len(MANIFEST))[30:] != MANIFEST.encode():
            raise refused(path, "no detector that dualad exported, or its beginning is damaged")
        size = path.stat().st_size
        digest = _digest(file, size - _DIGITS)
        found = file.read()
    if found != digest.encode():
        raise refused(path, "damaged or cut short: its checksum is not that of its content")


def _digest(file: IO[bytes], length: int) -> str:
    """SHA-256 of the first bytes of a file, which is then at the next."""
    file.seek(0)
    digest = hashlib.sha256()
    left = max(length, 0)
    while left and (block := file.read(min(_BLOCK, left))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()


def _manifest(path: Path, file: zipfile.ZipFile) -> dict[str, Any]:
    """The manifest, if the members are the ones that it lists and the method's family has."""
    infos = file.infolist()
    names = [info.filename for info in infos]
    if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
        raise refused(path, "a member of it is compressed, which no export is")
    if names[:1] != [MANIFEST] or infos[0].file_size > _MOST_MANIFEST_BYTES:
        raise refused(path, "no manifest in it")
    try:
        manifest: dict[str, Any] = json.loads(file.read(MANIFEST))
        kind, version = str(manifest["format"]), int(manifest["format_version"])
        family, members = str(manifest["family"]), dict(manifest["members"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise refused(path, f"its manifest is damaged ({brief(repr(error))})") from error
    if kind != FORMAT:
        raise refused(path, f"its format is {kind!r} and not {FORMAT!r}")
    if version > VERSION:
        raise DualadError(
            f"{path}: written by a newer version of dualad (format {version}, and this one reads "
            f"up to {VERSION}); install the newer version"
        )
    if family not in FAMILIES or family == "external":
        raise refused(path, f"a method of the family {family!r}, which this version does not have")
    if names[1:] != list(members) or not set(members) <= _known_names(family):
        raise refused(path, "its members are not those of a detector")
    _check_family(path, file, family)
    return manifest


def _check_family(path: Path, file: zipfile.ZipFile, family: str) -> None:
    """Refuse a threshold of another method than the manifest's: it decides which class is used."""
    try:
        method = json.loads(file.read("threshold.json"))["method"]
        is_same = method["family"] == family
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise refused(path, f"threshold.json in it is damaged ({brief(repr(error))})") from error
    if not is_same:
        raise refused(path, "threshold.json in it is of another method")


def _known_names(family: str) -> set[str]:
    return {
        *FAMILIES[family].model_files,
        *("fit.json", "threshold.json", "metrics.json", "heat.json", "normals.npz"),
        "test_results.png",
    }


def _described(content: bytes) -> dict[str, Any]:
    """Size and checksum of a member."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
