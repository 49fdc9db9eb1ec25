"""What profiles/slurm makes of the paper's configuration: how many places in the queue it takes."""

import re
from collections import Counter

import pytest
from workspace import ROOT, Workspace

LOCAL = r"download|report|all|share_\w+"
"""Rules that run where Snakemake does."""


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    workspace = Workspace(tmp_path_factory.mktemp("paper"))
    # Without the executor, which is not installed everywhere.
    profile = (ROOT / "profiles/slurm/profile.yaml").read_text().replace("executor: slurm\n", "")
    (workspace.folder / "slurm").mkdir()
    (workspace.folder / "slurm/profile.yaml").write_text(profile)
    limits = ["--resources", "gpu=1", "one_at_a_time=1"]
    profiles = ["--profile", str(workspace.folder / "slurm")]
    paper = str(ROOT / "config/paper.yaml")
    # As in the second attempt of every job.
    run = workspace.run("-n", *profiles, *limits, "--attempt", "2", configfiles=[paper])
    assert run.returncode == 0, run.text
    return run.text


def members(dry_run: str) -> list[list[tuple[str, str]]]:
    """Rule and resources of the jobs of every group."""
    texts = [re.split(r"^rule ", text, flags=re.M)[0] for text in dry_run.split("Group job ")[1:]]
    return [
        re.findall(r"^    rule (\w+):.*?^        resources: (.*?)$", text, re.M | re.S)
        for text in texts
    ]


def test_the_papers_configuration_takes_at_most_250_places_in_the_queue(dry_run: str) -> None:
    groups = re.findall(r"Group job (\w+)", dry_run)
    alone = re.findall(rf"^rule (?!(?:{LOCAL}):)(\w+):", dry_run, re.M)
    assert len(groups) > 80
    assert len(groups) + len(alone) <= 250, (Counter(groups), Counter(alone))


def test_what_is_in_a_group_runs_one_after_another(dry_run: str) -> None:
    # Limited to one by profiles/default, so that memory and cores do not add up.
    for group in members(dry_run):
        assert all("one_at_a_time=1" in resources for _, resources in group)


def test_jobs_of_one_group_all_want_a_gpu_or_none_does(dry_run: str) -> None:
    for group in members(dry_run):
        assert len({"gpu=1" in resources for _, resources in group}) == 1, group


def test_controls_are_scored_without_a_gpu(dry_run: str) -> None:
    resources = dict(pair for group in members(dry_run) for pair in group)
    assert "gpu=1" in resources["score"] and "gpu=1" not in resources["score_controls"]


def test_a_second_attempt_gets_twice_the_memory_and_the_time(dry_run: str) -> None:
    resources = dict(pair for group in members(dry_run) for pair in group)
    assert "mem_mb=16000" in resources["train"] and "runtime=5760" in resources["train"]
    assert "mem_mb=2000" in resources["table_costs"] and "runtime=60" in resources["table_costs"]
