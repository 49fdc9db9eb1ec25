"""The lock files, the conda environments and pyproject.toml say the same."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = [
    "requirements.lock",
    "requirements-gpu.lock",
    "requirements-slurm.lock",
    "requirements-docs.lock",
]
# The conda environments are for Linux and Python 3.11.
MARKERS = {
    "python_version": "3.11",
    "python_full_version": "3.11.9",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "implementation_name": "cpython",
}


def locked(name: str) -> dict[str, str]:
    """Version of each package that a lock file installs on Linux with Python 3.11."""
    versions = {}
    for line in (ROOT / name).read_text().splitlines():
        if line and line[0] not in " #":
            requirement = Requirement(line.removesuffix("\\").strip())
            if requirement.marker is None or requirement.marker.evaluate(MARKERS):
                (pin,) = requirement.specifier
                assert pin.operator == "==", line
                versions[canonicalize_name(requirement.name)] = pin.version
    return versions


def environment(name: str) -> tuple[list[str], dict[str, str]]:
    """What conda and what pip install."""
    content = yaml.safe_load((ROOT / "envs" / name).read_text())
    conda = [entry for entry in content["dependencies"] if isinstance(entry, str)]
    (pip,) = (entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict))
    pins = dict(pin.split("==") for pin in pip)
    return conda, {canonicalize_name(package): version for package, version in pins.items()}


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_has_a_hash_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert not re.search(r"://|file:|--(extra-)?index-url|--find-links|\s@\s|^/", text, re.M)


@pytest.mark.parametrize("name", LOCKS[1:])
def test_extras_leave_the_other_packages_as_they_are(name: str) -> None:
    base, extra = locked(LOCKS[0]), locked(name)
    assert {package: extra.get(package) for package in base} == base
    assert len(extra) > len(base)


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        (LOCKS[0], ["dev"]),
        (LOCKS[1], ["dev", "gpu"]),
        (LOCKS[2], ["dev", "slurm"]),
        (LOCKS[3], ["dev", "docs"]),
    ],
)
def test_the_lock_meets_the_project_file(lock: str, extras: list[str]) -> None:
    versions = locked(lock)
    wanted = [*PROJECT["dependencies"]]
    for extra in extras:
        wanted += PROJECT["optional-dependencies"][extra]
    for text in wanted:
        requirement = Requirement(text)
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None and requirement.specifier.contains(version), text


@pytest.mark.parametrize(
    ("name", "lock"), [("cpu.yaml", "requirements.lock"), ("gpu.yaml", "requirements-gpu.lock")]
)
def test_conda_environments_have_the_versions_of_the_lock(name: str, lock: str) -> None:
    conda, pins = environment(name)
    versions = locked(lock)
    assert {package: versions.get(package) for package in pins} == pins
    wanted = [Requirement(text).name for text in PROJECT["dependencies"]]
    assert {canonicalize_name(package) for package in wanted} <= set(pins)
    assert any(package.startswith("nvidia-") for package in pins) == (name == "gpu.yaml")
    assert conda == ["python=3.11", "pip"]
