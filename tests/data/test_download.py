"""Downloads from a local server that can resume, break off and send the wrong thing."""

import errno
import hashlib
import io
import json
import logging
import os
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from samples import make_mvtec

from dualad.data import download
from dualad.data.download import DOWNLOADS, download_dataset, unpack
from dualad.data.registry import dataset_root, list_records
from dualad.errors import DualadError


class Server:
    """What the test server sends, and what it was asked for."""

    def __init__(self) -> None:
        self.content = b""
        self.ranges: list[str | None] = []
        self.break_off_after: list[int] = []
        self.supports_ranges = True
        self.status: int | None = None
        self.url = ""


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            if not state.supports_ranges:
                start = 0
            if state.status:
                self.send_error(state.status)
                return
            total = len(state.content)
            if start >= total:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{total}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = state.content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if state.break_off_after:
                self.wfile.write(body[: state.break_off_after.pop(0)])
                self.close_connection = True
                return
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}).start()
    state.url = f"http://127.0.0.1:{httpd.server_port}/file"
    monkeypatch.setattr(download, "_pause", lambda _: 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield state
    httpd.shutdown()
    httpd.server_close()


def offer(server: Server, monkeypatch, key: str, content: bytes, digest: str | None = None) -> None:
    """Let an entry of `downloads.yaml` point to the server."""
    server.content = content
    found = hashlib.sha256(content).hexdigest()
    entry = replace(DOWNLOADS[key], url=server.url, hash=f"sha256:{digest or found}")
    monkeypatch.setitem(DOWNLOADS, key, entry)


def pack_tar(members: dict[str, bytes | tarfile.TarInfo], mode: str = "w:xz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                archive.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def pack_zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


PNEUMONIA = {"reader": "medmnist", "download": "pneumoniamnist"}
ZIPPER = {"reader": "mvtec", "download": "mvtec_ad", "category": "zipper"}
BRATS = {"reader": "bmad", "download": "bmad", "category": "BraTS2021"}


def test_file(server, monkeypatch, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    content = os.urandom(3_000_000)
    offer(server, monkeypatch, "pneumoniamnist", content)
    record = download_dataset("toy", PNEUMONIA, tmp_path, progress=True)
    path = dataset_root("toy", PNEUMONIA, tmp_path)
    assert path == tmp_path / "pneumoniamnist/pneumoniamnist.npz"
    assert path.read_bytes() == content
    assert record == tmp_path / "pneumoniamnist.json"
    described = json.loads(record.read_text())
    assert described["licence"] == "CC BY 4.0" and described["placed_by"] == "download"
    assert sorted(p.name for p in path.parent.iterdir()) == ["pneumoniamnist.npz"]
    assert "pneumoniamnist.npz" in caplog.text
    download_dataset("toy", PNEUMONIA, tmp_path)
    assert len(server.ranges) == 1


def test_archive_is_unpacked_and_read(server, monkeypatch, tmp_path):
    root = make_mvtec(tmp_path / "made/zipper")
    files = {
        str(p.relative_to(root.parent)): p.read_bytes() for p in root.rglob("*") if p.is_file()
    }
    offer(server, monkeypatch, "mvtec_ad", pack_tar(files))
    resources = tmp_path / "resources"
    download_dataset("zipper", ZIPPER, resources, progress=True)
    assert len(list_records("zipper", ZIPPER, resources).records) == 11
    assert sorted(p.name for p in resources.iterdir()) == ["mvtec_ad", "mvtec_ad.json"]


def test_zip(server, monkeypatch, tmp_path):
    offer(server, monkeypatch, "bmad", pack_zip({"BraTS2021_slice/train/good/a.png": b"x"}))
    download_dataset("brats", BRATS, tmp_path)
    assert (tmp_path / "bmad/BraTS2021_slice/train/good/a.png").read_bytes() == b"x"


def test_connection_that_breaks_off_is_resumed(server, monkeypatch, tmp_path):
    content = os.urandom(500_000)
    offer(server, monkeypatch, "pneumoniamnist", content)
    server.break_off_after = [200_000, 100_000]
    download_dataset("toy", PNEUMONIA, tmp_path)
    starts = [int(asked.removeprefix("bytes=").rstrip("-")) for asked in server.ranges[1:]]
    assert server.ranges[0] is None and len(starts) == 2
    assert 200_000 - 2**16 <= starts[0] <= 200_000
    assert starts[0] < starts[1] <= starts[0] + 100_000
    assert dataset_root("toy", PNEUMONIA, tmp_path).read_bytes() == content


@pytest.mark.parametrize(
    ("part", "ranges"),
    [
        (lambda content: content[:60_000], ["bytes=60000-"]),
        (lambda content: content, None),
        (lambda content: os.urandom(2 * len(content)), None),
    ],
    ids=["killed earlier", "killed after the last byte", "part of another file"],
)
def test_what_a_killed_download_left_is_used_or_replaced(
    server, monkeypatch, tmp_path, part, ranges
):
    content = os.urandom(100_000)
    offer(server, monkeypatch, "pneumoniamnist", content)
    unfinished = tmp_path / "pneumoniamnist/pneumoniamnist.npz.part"
    unfinished.parent.mkdir()
    unfinished.write_bytes(part(content))
    download_dataset("toy", PNEUMONIA, tmp_path)
    assert ranges in (None, server.ranges)
    assert dataset_root("toy", PNEUMONIA, tmp_path).read_bytes() == content
    assert not unfinished.exists()


def test_server_without_ranges(server, monkeypatch, tmp_path):
    content = os.urandom(50_000)
    offer(server, monkeypatch, "pneumoniamnist", content)
    server.supports_ranges = False
    server.break_off_after = [20_000]
    download_dataset("toy", PNEUMONIA, tmp_path)
    assert dataset_root("toy", PNEUMONIA, tmp_path).read_bytes() == content


def test_checksum_mismatch(server, monkeypatch, tmp_path):
    offer(server, monkeypatch, "mvtec_ad", pack_tar({"zipper/a": b"x"}), digest="0" * 64)
    with pytest.raises(DualadError, match=r"checksum is not sha256:000.*put it at .*mvtec_ad"):
        download_dataset("zipper", ZIPPER, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == []


def test_absent_from_the_server(server, monkeypatch, tmp_path):
    offer(server, monkeypatch, "pneumoniamnist", b"x")
    server.status = 404
    with pytest.raises(DualadError, match=r"404.*medmnist\.com.*CC BY 4\.0"):
        download_dataset("toy", PNEUMONIA, tmp_path)
    assert len(server.ranges) == 1


def test_no_network(server, monkeypatch, tmp_path):
    offer(server, monkeypatch, "pneumoniamnist", b"x")
    gone = replace(DOWNLOADS["pneumoniamnist"], url="http://127.0.0.1:9/file")
    monkeypatch.setitem(DOWNLOADS, "pneumoniamnist", gone)
    with pytest.raises(DualadError, match=r"download failed.*run again"):
        download_dataset("toy", PNEUMONIA, tmp_path)


def test_files_of_the_user_are_left_alone(server, monkeypatch, tmp_path):
    offer(server, monkeypatch, "mvtec_ad", pack_tar({"zipper/a": b"downloaded"}))
    mine = tmp_path / "mvtec_ad/zipper/a"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    record = download_dataset("zipper", ZIPPER, tmp_path)
    assert json.loads(record.read_text())["placed_by"] == "user"
    assert mine.read_bytes() == b"mine"
    assert server.ranges == []


def test_entry_without_a_download(tmp_path):
    with pytest.raises(DualadError, match=r"datasets\.mine\.download.*mvtec_ad"):
        download_dataset("mine", {"reader": "folder", "path": "x"}, tmp_path)


def test_disk_full_while_downloading(server, monkeypatch, tmp_path):
    offer(server, monkeypatch, "pneumoniamnist", b"x" * 1000)

    def full(*_: object) -> bool:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download, "_transfer_once", full)
    with pytest.raises(DualadError, match=r"No space left.*free some space"):
        download_dataset("toy", PNEUMONIA, tmp_path)


def link(target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def device() -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type = tarfile.CHRTYPE
    return info


def zip_link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("a/link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc")
    return buffer.getvalue()


ESCAPES = {
    "tar parent": lambda: pack_tar({"a": b"fine", "../evil": b"x"}),
    "tar inner parent": lambda: pack_tar({"a": b"fine", "b/../../evil": b"x"}),
    "tar absolute": lambda: pack_tar({"a": b"fine", "/tmp/evil": b"x"}),
    "tar symbolic link": lambda: pack_tar({"a": b"fine", "b": link("../../evil")}),
    "tar absolute link": lambda: pack_tar({"a": b"fine", "b": link("/etc/passwd")}),
    "tar hard link": lambda: pack_tar({"a": b"fine", "b": link("../evil", tarfile.LNKTYPE)}),
    "tar device": lambda: pack_tar({"a": b"fine", "b": device()}, "w:gz"),
    "zip parent": lambda: pack_zip({"a": b"fine", "../evil": b"x"}),
    "zip backslash": lambda: pack_zip({"a": b"fine", "..\\evil": b"x"}),
    "zip absolute": lambda: pack_zip({"a": b"fine", "/evil": b"x"}),
    "zip drive": lambda: pack_zip({"a": b"fine", "C:\\evil": b"x"}),
    "zip link": zip_link,
}


@pytest.mark.parametrize("kind", ESCAPES)
def test_archive_entries_that_escape(tmp_path, kind):
    archive = tmp_path / "in/archive"
    archive.parent.mkdir()
    archive.write_bytes(ESCAPES[kind]())
    with pytest.raises(DualadError, match="outside its folder; nothing was unpacked"):
        unpack(archive, tmp_path / "out/data")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["archive"]
    assert not (tmp_path / "out/data").exists()


def test_link_inside_the_folder_is_fine(tmp_path):
    archive = tmp_path / "archive.tar"
    archive.write_bytes(pack_tar({"a/b": b"x", "c": link("a/b")}))
    unpack(archive, tmp_path / "data")
    assert (tmp_path / "data/c").read_bytes() == b"x"


@pytest.mark.parametrize("content", [b"", b"junk" * 100, pack_tar({"a": b"x" * 50_000})[:120]])
def test_damaged_archive(tmp_path, content):
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises(DualadError, match="damaged, or not an archive"):
        unpack(tmp_path / "archive", tmp_path / "data")
    assert [p.name for p in tmp_path.iterdir()] == ["archive"]


def encrypted() -> bytes:
    """An archive whose first entry says that it needs a password."""
    content = bytearray(pack_zip({"a": b"x"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def compressed_anyhow() -> bytes:
    """An archive whose first entry is compressed by a method that nobody knows."""
    content = bytearray(pack_zip({"a": b"x"}))
    content[8] = content[content.index(b"PK\x01\x02") + 10] = 99
    return bytes(content)


@pytest.mark.parametrize("make", [encrypted, compressed_anyhow])
def test_an_archive_that_cannot_be_unpacked_is_no_crash(tmp_path, make):
    (tmp_path / "archive").write_bytes(make())
    with pytest.raises(DualadError, match="not an archive that can be read"):
        unpack(tmp_path / "archive", tmp_path / "data")
    assert [p.name for p in tmp_path.iterdir()] == ["archive"]


@pytest.mark.parametrize("pack", [pack_zip, pack_tar])
def test_an_archive_below_its_own_file_is_no_crash(tmp_path, pack):
    (tmp_path / "archive").write_bytes(pack({"good": b"file", "good/0.png": b"x"}))
    with pytest.raises(DualadError, match="archive: cannot be unpacked"):
        unpack(tmp_path / "archive", tmp_path / "data")


@pytest.mark.parametrize("pack", [pack_zip, pack_tar])
def test_an_archive_that_the_disk_has_no_room_for_is_not_begun(tmp_path, monkeypatch, pack):
    (tmp_path / "archive").write_bytes(pack({"a": b"x" * 5000}))
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: SimpleNamespace(free=4999))
    with pytest.raises(DualadError, match="free some space and run again"):
        unpack(tmp_path / "archive", tmp_path / "data")
    assert [p.name for p in tmp_path.iterdir()] == ["archive"]


def test_every_download_is_described():
    for entry in DOWNLOADS.values():
        algorithm, digest = entry.hash.split(":")
        assert len(digest) == {"md5": 32, "sha256": 64}[algorithm]
        assert entry.url.startswith("http") and entry.page.startswith("http")
        assert entry.licence and entry.title
