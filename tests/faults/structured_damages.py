"""Damages of files with an inner structure: archives, arrays, HDF5, saved networks.

Each is a function of the bytes of the file and of random numbers, as in `damages`. Some plant code
that creates the file `CANARY` when it is run.
"""

import io
import json
import os
import pickle
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from damages import BYTES, Damage

CANARY = Path(tempfile.gettempdir()) / "dualad_tests_canary"
"""A file that must never be there."""

Arrays = dict[str, npt.NDArray[Any]]


class _Exploit:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {CANARY}",)


def _named(*damages: Damage) -> dict[str, Damage]:
    return {damage.__name__: damage for damage in damages}


# Arrays in .npz files


def _npz(change: Callable[[Arrays, str, np.random.Generator], None]) -> Damage:
    """A damage that changes the arrays of an .npz file; it is told the name of one of them."""

    def damage(content: bytes, rng: np.random.Generator) -> bytes:
        with np.load(io.BytesIO(content)) as file:
            arrays = {name: file[name] for name in file.files}
        change(arrays, list(arrays)[rng.integers(len(arrays))], rng)
        output = io.BytesIO()
        np.savez_compressed(output, allow_pickle=True, **arrays)
        return output.getvalue()

    damage.__name__ = change.__name__
    return damage


def array_missing(arrays: Arrays, name: str, rng: np.random.Generator) -> None:
    del rng, arrays[name]


def array_of_text(arrays: Arrays, name: str, rng: np.random.Generator) -> None:
    del rng
    arrays[name] = np.full(arrays[name].shape, "text")


def array_pickled(arrays: Arrays, name: str, rng: np.random.Generator) -> None:
    """Hold an object whose unpickling runs a command."""
    del rng
    arrays[name] = np.array([_Exploit()], dtype=object)


def array_empty(arrays: Arrays, name: str, rng: np.random.Generator) -> None:
    del rng
    arrays[name] = arrays[name].reshape(-1)[:0]


def array_with_fewer_rows(arrays: Arrays, name: str, rng: np.random.Generator) -> None:
    del rng
    arrays[name] = np.atleast_1d(arrays[name])[:-1]


def array_with_another_axis(arrays: Arrays, name: str, rng: np.random.Generator) -> None:
    del rng
    arrays[name] = arrays[name][None]


def array_not_finite(arrays: Arrays, name: str, rng: np.random.Generator) -> None:
    values = arrays[name].astype(np.float64) if arrays[name].dtype.kind in "iufb" else np.zeros(3)
    arrays[name] = np.full(values.shape, rng.choice([np.nan, np.inf, -np.inf]))


def array_complex(arrays: Arrays, name: str, rng: np.random.Generator) -> None:
    del rng
    numbers = arrays[name].dtype.kind in "iufb"
    arrays[name] = arrays[name] * (1 + 1j) if numbers else np.array(1j)


def array_of_records(arrays: Arrays, name: str, rng: np.random.Generator) -> None:
    del rng
    arrays[name] = np.zeros(arrays[name].shape, dtype=[("a", "f4"), ("b", "U3")])


def array_in_other_order(content: bytes, rng: np.random.Generator) -> bytes:
    """Declare an array to lie in Fortran's order."""
    return _with_header(content, rng, lambda header: header.replace(b"False", b"True "))


def array_giant(content: bytes, rng: np.random.Generator) -> bytes:
    """Declare an array of 10^15 elements, with a few behind the header."""

    def giant(header: bytes) -> bytes:
        start, end = header.index(b"(") + 1, header.index(b")")
        shape = b"1000000000, 1000000"
        rest = header[end:]
        return header[:start] + shape + rest[: max(len(rest) - len(shape) + end - start, 0)]

    return _with_header(content, rng, giant)


def array_is_code(content: bytes, rng: np.random.Generator) -> bytes:
    """Declare a type that is an expression of Python."""

    def code(header: bytes) -> bytes:
        text = b"{'descr': __import__('os').system('touch /tmp/x'), 'fortran_order': False}"
        return text[: len(header)].ljust(len(header))

    return _with_header(content, rng, code)


def array_zip_bomb(content: bytes, rng: np.random.Generator) -> bytes:
    """Hold, in a few kilobytes, an array of more than a gigabyte of zeros."""
    zeros = bytes(1 << 20)
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        names = old.namelist()
        chosen = names[rng.integers(len(names))]
        output = io.BytesIO()
        with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as new:
            for name in names:
                if name != chosen:
                    new.writestr(name, old.read(name))
            with new.open(chosen, "w", force_zip64=True) as member:
                header = {"descr": "|u1", "fortran_order": False, "shape": (1280, 1024, 1024)}
                np.lib.format.write_array_header_1_0(member, header)
                for _ in range(1280):
                    member.write(zeros)
    return output.getvalue()


def member_is_pickle(content: bytes, rng: np.random.Generator) -> bytes:
    """Have a pickle in place of an array, which `numpy.load` reads where it is allowed to."""
    return _with_member(content, rng, lambda _: pickle.dumps(_Exploit()))


def _with_header(
    content: bytes, rng: np.random.Generator, change: Callable[[bytes], bytes]
) -> bytes:
    """Change the header of one array of an .npz file, which keeps its length."""

    def changed(member: bytes) -> bytes:
        end = 10 + int.from_bytes(member[8:10], "little")
        header = change(member[10:end])[: end - 10].ljust(end - 10)
        return member[:10] + header + member[end:]

    return _with_member(content, rng, changed)


def _with_member(
    content: bytes, rng: np.random.Generator, change: Callable[[bytes], bytes]
) -> bytes:
    """Change one member of a .zip file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[rng.integers(len(members))]
    members[name] = change(members[name])
    return _zipped(members)


def _zipped(members: Mapping[str, bytes]) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return output.getvalue()


NPZ: Mapping[str, Damage] = {
    **BYTES,
    **_named(
        *map(
            _npz,
            (
                *(array_missing, array_of_text, array_pickled, array_empty, array_complex),
                *(array_with_fewer_rows, array_with_another_axis, array_not_finite),
                array_of_records,
            ),
        ),
        *(array_in_other_order, array_giant, array_is_code, member_is_pickle, array_zip_bomb),
    ),
}


# HDF5


def _hdf5(change: Callable[[h5py.File, str, np.random.Generator], None]) -> Damage:
    """A damage that changes an HDF5 file; it is told the path of one of its datasets."""

    def damage(content: bytes, rng: np.random.Generator) -> bytes:
        output = io.BytesIO(content)
        with h5py.File(output, "r+") as file:
            paths: list[str] = []
            file.visititems(
                lambda path, item: paths.append(path) if isinstance(item, h5py.Dataset) else None
            )
            change(file, paths[rng.integers(len(paths))], rng)
        return output.getvalue()

    damage.__name__ = change.__name__
    return damage


def dataset_missing(file: h5py.File, path: str, rng: np.random.Generator) -> None:
    del rng, file[path]


def dataset_shorter(file: h5py.File, path: str, rng: np.random.Generator) -> None:
    del rng
    _replace(file, path, file[path][:-1])


def dataset_longer(file: h5py.File, path: str, rng: np.random.Generator) -> None:
    del rng
    values = file[path][...]
    _replace(file, path, np.concatenate([values, values]))


def dataset_of_text(file: h5py.File, path: str, rng: np.random.Generator) -> None:
    del rng
    _replace(file, path, np.full(file[path].shape, b"text"))


def dataset_of_numbers(file: h5py.File, path: str, rng: np.random.Generator) -> None:
    value = float(rng.choice([np.nan, np.inf, -1e30, 1e30, -1.0, 300.0]))
    _replace(file, path, np.full(file[path].shape, value))


def dataset_without_axes(file: h5py.File, path: str, rng: np.random.Generator) -> None:
    del rng
    _replace(file, path, 3)


def dataset_giant(file: h5py.File, path: str, rng: np.random.Generator) -> None:
    """Declare a dataset of 10^15 elements, none of which is stored."""
    del rng
    old = file[path]
    shape, dtype, chunk = old.shape, old.dtype, (1, *old.shape[1:])
    del file[path]
    file.create_dataset(path, (10**15, *shape[1:]), dtype, chunks=chunk)


def dataset_elsewhere(file: h5py.File, path: str, rng: np.random.Generator) -> None:
    """Keep the values in another file of the system."""
    del rng
    old = file[path]
    shape, dtype = old.shape, old.dtype
    del file[path]
    file.create_dataset(path, shape, dtype, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def link_elsewhere(file: h5py.File, path: str, rng: np.random.Generator) -> None:
    """Be a link into another file, or to itself."""
    del file[path]
    outside = h5py.ExternalLink("/etc/passwd", "/x")
    file[path] = outside if rng.integers(2) else h5py.SoftLink(f"/{path}")


def group_for_dataset(file: h5py.File, path: str, rng: np.random.Generator) -> None:
    del rng, file[path]
    file.create_group(path)


def attribute_missing(file: h5py.File, path: str, rng: np.random.Generator) -> None:
    del path
    names = list(file.attrs)
    del file.attrs[names[rng.integers(len(names))]]


def attribute_of_another_type(file: h5py.File, path: str, rng: np.random.Generator) -> None:
    del path
    names = list(file.attrs)
    values = ("text", 3, np.nan, np.zeros(3), np.bytes_(b"\xff\xfe"), h5py.Empty("f4"))
    file.attrs[names[rng.integers(len(names))]] = values[rng.integers(len(values))]


def _replace(file: h5py.File, path: str, values: Any) -> None:
    del file[path]
    file[path] = values


HDF5: Mapping[str, Damage] = {
    **BYTES,
    **_named(
        *map(
            _hdf5,
            (
                *(dataset_missing, dataset_shorter, dataset_longer, dataset_of_text),
                *(dataset_of_numbers, dataset_without_axes, dataset_giant, dataset_elsewhere),
                *(link_elsewhere, group_for_dataset, attribute_missing, attribute_of_another_type),
            ),
        )
    ),
}


# Saved networks


def _keras(change: Callable[[dict[str, Any]], None]) -> Damage:
    """A damage that changes the description of a saved network."""

    def damage(content: bytes, rng: np.random.Generator) -> bytes:
        del rng
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        description = json.loads(members["config.json"])
        change(description)
        members["config.json"] = json.dumps(description).encode()
        return _zipped(members)

    damage.__name__ = change.__name__
    return damage


def lambda_layer(description: dict[str, Any]) -> None:
    """Have a layer that is a function in byte code."""
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAA==", "defaults": None}}
    last = description["config"]["layers"][-1]
    last.update(module="keras.layers", class_name="Lambda", registered_name=None)
    last["config"] = {"name": last["config"]["name"], "function": code}


def layer_of_any_module(description: dict[str, Any]) -> None:
    """Have a layer that is a function of the operating system."""
    last = description["config"]["layers"][-1]
    last.update(module="os", class_name="system", registered_name=None)
    last["config"] = {"command": f"touch {CANARY}"}


def activation_of_any_module(description: dict[str, Any]) -> None:
    """Have an activation that is a function of the operating system."""
    for layer in description["config"]["layers"]:
        if "activation" in layer["config"]:
            layer["config"]["activation"] = {
                **{"module": "os", "class_name": "function", "config": "system"},
                "registered_name": "system",
            }


def layer_unknown(description: dict[str, Any]) -> None:
    description["config"]["layers"][-1]["class_name"] = "Nothing"


def layer_missing(description: dict[str, Any]) -> None:
    del description["config"]["layers"][1]


def layer_giant(description: dict[str, Any]) -> None:
    """Declare layers of 10^12 units."""
    for layer in description["config"]["layers"]:
        if "units" in layer["config"]:
            layer["config"]["units"] = 10**12


def layer_of_another_width(description: dict[str, Any]) -> None:
    for layer in description["config"]["layers"]:
        if "units" in layer["config"]:
            layer["config"]["units"] += 1


def network_without_layers(description: dict[str, Any]) -> None:
    description["config"]["layers"] = []


def member_missing(content: bytes, rng: np.random.Generator) -> bytes:
    """Lack one of the members of a .zip file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    del members[list(members)[rng.integers(len(members))]]
    return _zipped(members)


def member_damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Have a damaged member in a sound .zip file."""
    damage = list(BYTES.values())[rng.integers(len(BYTES))]
    return _with_member(content, rng, lambda member: damage(member or b"0", rng))


def weights_damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Have damaged weights in a sound .zip file."""
    damage = list(HDF5.values())[rng.integers(len(HDF5))]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["model.weights.h5"] = damage(members["model.weights.h5"], rng)
    return _zipped(members)


KERAS: Mapping[str, Damage] = {
    **BYTES,
    **_named(
        *map(
            _keras,
            (
                *(lambda_layer, layer_of_any_module, activation_of_any_module, layer_unknown),
                *(layer_missing, layer_giant, layer_of_another_width, network_without_layers),
            ),
        ),
        *(member_missing, member_damaged, weights_damaged),
    ),
}


# Archives

_ESCAPES = ("../out.txt", "/tmp/dualad_out.txt", "a/../../out.txt", "..\\out.txt", "C:\\out.txt")


def zip_that_escapes(content: bytes, rng: np.random.Generator) -> bytes:
    del content
    return _zipped({"good/0.png": b"0", _ESCAPES[rng.integers(len(_ESCAPES))]: b"out"})


def zip_with_link(content: bytes, rng: np.random.Generator) -> bytes:
    del content, rng
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc")
        archive.writestr("link/out.txt", "out")
    return output.getvalue()


def zip_bomb(content: bytes, rng: np.random.Generator) -> bytes:
    """Hold, in a megabyte, 1000 files of a gigabyte each."""
    del content, rng
    return _zip_bomb()


@cache
def _zip_bomb() -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("0.png", "w") as member:
            for _ in range(1024):
                member.write(bytes(1 << 20))
        first = archive.infolist()[0]
        for i in range(1, 1000):
            # The same content under another name, as in bombs of overlapping files.
            info = zipfile.ZipInfo(f"{i}.png")
            for name in ("CRC", "compress_size", "file_size", "compress_type", "header_offset"):
                setattr(info, name, getattr(first, name))
            archive.filelist.append(info)
    return output.getvalue()


def zip_encrypted(content: bytes, rng: np.random.Generator) -> bytes:
    """Declare the first entry to be encrypted."""
    del rng
    changed = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        changed[changed.index(signature) + offset] |= 1
    return bytes(changed)


def zip_of_unknown_compression(content: bytes, rng: np.random.Generator) -> bytes:
    del rng
    changed = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        changed[changed.index(signature) + offset] = 99
    return bytes(changed)


def zip_with_file_for_folder(content: bytes, rng: np.random.Generator) -> bytes:
    """Have an entry below another one that is no folder."""
    del content, rng
    return _zipped({"good": b"file", "good/0.png": b"0"})


def zip_with_long_name(content: bytes, rng: np.random.Generator) -> bytes:
    del content, rng
    return _zipped({f"{'x' * 300}.png": b"0"})


def _tar(*members: tarfile.TarInfo) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)) if member.isfile() else None)
    return output.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def tar_that_escapes(content: bytes, rng: np.random.Generator) -> bytes:
    del content
    return _tar(_member("good/0.png"), _member(_ESCAPES[rng.integers(len(_ESCAPES))]))


def tar_with_link(content: bytes, rng: np.random.Generator) -> bytes:
    del content
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE)
    targets = ("/etc", "../..", "a/../../..")
    link = _member("link", kinds[rng.integers(2)], targets[rng.integers(3)])
    return _tar(link, _member("link/out.txt"))


def tar_with_device(content: bytes, rng: np.random.Generator) -> bytes:
    del content
    kinds = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
    return _tar(_member("good/0.png", kinds[rng.integers(3)]))


def tar_with_file_for_folder(content: bytes, rng: np.random.Generator) -> bytes:
    del content, rng
    return _tar(_member("good"), _member("good/0.png"))


def tar_with_long_name(content: bytes, rng: np.random.Generator) -> bytes:
    del content, rng
    return _tar(_member("x" * 300))


def tar_of_giant_size(content: bytes, rng: np.random.Generator) -> bytes:
    """Declare a file of a thousand terabytes, and end."""
    del content, rng
    member = _member("good/0.png")
    member.size = 10**15
    return member.tobuf() + bytes(1024)


ZIP: Mapping[str, Damage] = {
    **BYTES,
    **_named(
        *(zip_that_escapes, zip_with_link, zip_encrypted, zip_of_unknown_compression, zip_bomb),
        *(zip_with_file_for_folder, zip_with_long_name, member_missing, member_damaged),
    ),
}
TAR: Mapping[str, Damage] = {
    **BYTES,
    **_named(
        *(tar_that_escapes, tar_with_link, tar_with_device, tar_with_file_for_folder),
        *(tar_with_long_name, tar_of_giant_size),
    ),
}


# Weights of PyTorch


def pickle_is_code(content: bytes, rng: np.random.Generator) -> bytes:
    """Have a pickle that runs a command, alone or behind a sound beginning."""
    return content[: int(rng.choice([0, 15, 27]))] + pickle.dumps(_Exploit())


TORCH: Mapping[str, Damage] = {**BYTES, **_named(pickle_is_code)}
