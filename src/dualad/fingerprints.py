"""Fingerprints of code and of folders, which tell whether a result is out of date."""

import ast
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from dualad.errors import DualadError

SOURCE_ROOT = Path(__file__).resolve().parent.parent

# What these do shows on the screen only, or in who writes a file. What the design does shows in the
# values of parameters, which Snakemake compares, and `check_code` beside them.
_NO_EFFECT_ON_RESULTS = (
    "dualad",
    "dualad.errors",
    "dualad.handover",
    "dualad.ownership",
    "dualad.progress",
)
_DESIGN = "dualad.design"

_DATA_FILES = {
    "dualad.data.download": "data/downloads.yaml",
    "dualad.pages.rendering": "pages/templates/*",
    "dualad.paper.numbers": "paper/numbers.csv",
}
"""Data files that modules read, as patterns below the package."""


def source_fingerprint(*modules: str, without: frozenset[str] = frozenset()) -> str:
    """Hash the code of some of the package's modules and of all that they import from it.

    Comments, docstrings and layout do not count, so editing them reruns nothing. The files are
    parsed, never imported, which takes a fraction of a second for the whole package.

    Parameters
    ----------
    modules
        Dotted names such as `dualad.network.attempts`.
    without
        Modules that are left out, together with what only they import.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    ValueError
        For a name that is no module of the package.
    """
    excluded = without.union(_NO_EFFECT_ON_RESULTS)
    pending = list(modules)
    code: dict[str, str] = {}
    while pending:
        module = pending.pop()
        if module in code or module in excluded or module.startswith(_DESIGN):
            continue
        path = _path(module)
        if path is None:
            raise ValueError(f"{module} is no module of this package")
        code[module], imported = _read(path)
        if module in _DATA_FILES:
            files = sorted((SOURCE_ROOT / "dualad").glob(_DATA_FILES[module]))
            code[module] += "".join(file.read_text("utf-8") for file in files)
        pending.extend(imported)
    text = "\n".join(f"{module} {code[module]}" for module in sorted(code))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_RUN = "DUALAD_RUN"
"""Environment variable in which a run's first process tells its jobs what code it began with."""


def run_code(*modules: str, without: tuple[str, ...] = ()) -> str:
    """Name some code and its fingerprint when the run began, for `check_code`.

    A run lasts from the start of Snakemake to its end. On a cluster every job has a Snakemake of
    its own, long after the first one, and must not take the code that it finds for the code that
    the run began with.

    Parameters
    ----------
    modules, without
        As of `source_fingerprint`.

    Returns
    -------
    str
        The modules, those that are left out, and 16 hexadecimal digits, such as
        `dualad.data.plan -dualad.errors:0123456789abcdef`.
    """
    run = json.loads(os.environ.get(_RUN) or "{}") or {
        "state": _sources_state(),
        "design": _design_fingerprint(),
        "code": {},
    }
    names = " ".join([*modules, *(f"-{name}" for name in without)])
    if names not in run["code"]:
        run["code"][names] = source_fingerprint(*modules, without=frozenset(without))
        os.environ[_RUN] = json.dumps(run)
    return f"{names}:{run['code'][names]}"


def check_code(code: str) -> None:
    """Check that code, and the design that a job reads its parameters by, are as the run began.

    Without this, an edit that is taken back while a run goes on would leave results of the edited
    code that pass for results of the other, because Snakemake notes for an output what it knew when
    it was started.

    Parameters
    ----------
    code
        From `run_code`.

    Raises
    ------
    DualadError
        If they are not.
    """
    _checked[:] = [code]
    run = json.loads(os.environ.get(_RUN) or "{}")
    if run.get("state") == _sources_state():
        return
    names, _, digest = code.rpartition(":")
    modules = [name for name in names.split() if not name.startswith("-")]
    without = frozenset(name[1:] for name in names.split() if name.startswith("-"))
    _read.cache_clear()
    try:
        same = source_fingerprint(*modules, without=without) == digest
        same = same and run.get("design") in (None, _design_fingerprint())
    except (OSError, SyntaxError, ValueError):
        # In the middle of an edit.
        same = False
    if not same:
        raise DualadError(
            f"the code of this job ({', '.join(modules)} and what they import) was edited after "
            "Snakemake was started, so its results would pass for those of other code; give the "
            "same command again"
        )


def check_code_again() -> None:
    """Check what this process has checked before, after it has imported more modules."""
    for code in list(_checked):
        check_code(code)


_checked: list[str] = []
"""The code of this process's job, once it has been checked."""


def _design_fingerprint() -> str:
    """A hash of the code of the design, which the other fingerprints leave out."""
    paths = sorted((SOURCE_ROOT / _DESIGN.replace(".", "/")).glob("*.py"))
    return hashlib.sha256("\n".join(_read(path)[0] for path in paths).encode()).hexdigest()[:16]


def _sources_state() -> str:
    """A hash of names, sizes and times of the package's files, which takes milliseconds."""
    root = SOURCE_ROOT / "dualad"
    found = {path for pattern in ("**/*.py", *_DATA_FILES.values()) for path in root.glob(pattern)}
    lines = []
    for path in sorted(found):
        # An editor may have renamed it just now.
        with suppress(FileNotFoundError):
            state = path.stat()
            lines.append(f"{path.relative_to(root)} {state.st_size} {state.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def folder_fingerprint(path: Path) -> str:
    """Hash the names, sizes and modification times of a file or of all files below a folder.

    No file is opened, so 27,000 files take a fraction of a second on a local disk.

    Parameters
    ----------
    path
        A file or a folder; it may be absent.

    Returns
    -------
    str
        16 hexadecimal digits, or "absent".
    """
    if not path.exists():
        return "absent"
    digest = hashlib.sha256()
    for name, status in _files(path):
        line = f"{name} {status.st_size} {status.st_mtime_ns}\n"
        # A name may hold bytes that are no text.
        digest.update(os.fsencode(line))
    return digest.hexdigest()[:16]


def _files(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    if not path.is_dir():
        yield path.name, path.stat()
        return
    pending = [str(path)]
    while pending:
        for entry in sorted(os.scandir(pending.pop()), key=lambda entry: entry.name):
            if _is_folder(entry):
                pending.append(entry.path)
            else:
                # A broken link is the reader's to report: describe the link itself.
                broken = not os.path.exists(entry.path)
                yield os.path.relpath(entry.path, path), entry.stat(follow_symlinks=not broken)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; a link to itself is neither."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _path(module: str) -> Path | None:
    base = SOURCE_ROOT.joinpath(*module.split("."))
    candidates = (base / "__init__.py", base.with_suffix(".py"))
    return next((path for path in candidates if path.is_file()), None)


@cache
def _read(path: Path) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    imported = tuple(module for name in _imports(tree) for module in _with_parents(name))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [s for s in body if not _is_bare_string(s)]  # type: ignore[attr-defined]
    return ast.dump(tree), imported


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    if parts[0] == "dualad":
        for length in range(1, len(parts) + 1):
            module = ".".join(parts[:length])
            if _path(module) is not None:
                yield module


def _is_bare_string(statement: object) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
