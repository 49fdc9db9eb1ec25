"""What the profiles make of a command, as Snakemake itself reads them."""

import sys
from argparse import Namespace
from pathlib import Path

import pytest
from snakemake.cli import parse_args
from snakemake.utils import available_cpu_count
from workspace import ROOT


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch):
    """The settings of a command that is typed in the project's folder."""
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)

    def parse(*words: str) -> Namespace:
        monkeypatch.setattr(sys, "argv", ["snakemake", *words])
        return parse_args(list(words))[1]

    return parse


@pytest.fixture
def slurm(tmp_path: Path) -> str:
    """The Slurm profile without the executor, which is not installed everywhere."""
    lines = (ROOT / "profiles/slurm/profile.yaml").read_text().splitlines(keepends=True)
    profile = tmp_path / "profile.yaml"
    profile.write_text("".join(line for line in lines if not line.startswith("executor:")))
    return str(tmp_path)


def test_a_target_alone_runs_on_all_cores_and_one_gpu(parsed) -> None:
    options = parsed("results/digits/figures")
    assert options.cores == available_cpu_count()
    assert options.resources["gpu"].value == 1
    assert options.targets == ["results/digits/figures"]


@pytest.mark.parametrize(
    ("words", "cores", "jobs"),
    [(["--cores", "1"], 1, None), (["-c1"], 1, None), (["-j3"], None, 3)],
)
def test_the_command_line_wins(parsed, words: list[str], cores: int | None, jobs: int) -> None:
    options = parsed(*words)
    assert (options.cores, options.jobs) == (cores, jobs)


@pytest.mark.parametrize("form", ["--profile {}", "--profile={}", "environment"])
def test_the_cores_of_this_machine_do_not_cap_cluster_jobs(
    parsed, slurm: str, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    if form == "environment":
        monkeypatch.setenv("SNAKEMAKE_PROFILE", slurm)
        options = parsed()
    else:
        options = parsed(*form.format(slurm).split())
    assert options.cores is None
    assert options.jobs == 50
    # One GPU for each job, however many run.
    assert options.set_resource_scopes["gpu"] == "local"
