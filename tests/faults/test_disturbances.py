"""Full disks, read-only folders, wrong clocks, changed sources: the same results after all."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from disturbed import CONTROLS, NETWORK, TARGETS, Started, results
from PIL import Image
from workspace import ROOT, Workspace

# A sample of the other files is part of every test run; these take half a minute each.
pytestmark = pytest.mark.slow

DAY = 86400
TOUCH = "find results -newermt now -exec touch -d '1 minute ago' {} +"


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A small file system in memory; yields what changes its options."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)

    try:
        yield remount
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def finish(workspace: Workspace, *arguments: str) -> str:
    """Run to the end; returns what Snakemake said."""
    run = workspace.run("--rerun-incomplete", *arguments, "--", *TARGETS)
    assert run.returncode == 0, run.text
    return run.text


def test_a_full_disk_is_said_and_costs_nothing(controls: Workspace, tmp_path: Path) -> None:
    used = sum(path.stat().st_size for path in (controls.results / "digits").rglob("*.h5"))
    with mounted(tmp_path / "disk", "64m"):
        workspace = Workspace(tmp_path / "disk/run", CONTROLS)
        workspace.results.mkdir()
        filler = tmp_path / "disk/filler"
        # Room for the first half of what the run writes.
        room = os.statvfs(filler.parent).f_bavail * os.statvfs(filler.parent).f_frsize
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, room - used // 2 - 2**17)
        full = workspace.run("--", *TARGETS)
        assert full.returncode != 0
        assert "the disk is full" in full.text or "No space left" in full.text, full.text
        filler.unlink()
        workspace.run("--unlock")
        finish(workspace)
        assert results(workspace) == results(controls)


def test_results_that_cannot_be_written_are_said_and_stay(
    controls: Workspace, tmp_path: Path
) -> None:
    with mounted(tmp_path / "results", "64m") as remount:
        workspace = Workspace(tmp_path, CONTROLS)
        assert workspace.run("--", "results/digits/plan.json").returncode == 0
        before = results(workspace)
        remount("ro")
        refused = workspace.run("--", *TARGETS)
        assert refused.returncode != 0 and "ead-only" in refused.text, refused.text
        assert results(workspace) == before
        remount("rw")
        finish(workspace)
        assert results(workspace) == results(controls)


def test_a_clock_that_was_set_back_is_told_and_costs_nothing(
    controls: Workspace, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path, CONTROLS)
    targets = [f"results/digits/{name}/predictions.h5" for name in ("pca", "pixel_std")]
    assert workspace.run("--", *targets).returncode == 0
    finished = list(workspace.results.rglob("*"))
    for path in finished:
        os.utime(path, (time.time() + DAY, time.time() + DAY))
    refused = workspace.run("--", *TARGETS)
    assert refused.returncode != 0 and "clock" in refused.text, refused.text
    # What docs/faults.md tells to do.
    subprocess.run(TOUCH, shell=True, cwd=tmp_path, check=True)
    assert "rule fit" not in finish(workspace)
    assert results(workspace) == results(controls)


def test_a_second_run_in_one_folder_is_refused(controls: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, CONTROLS)
    first = Started(workspace)
    while "Execute" not in first.text and first.process.poll() is None:
        time.sleep(0.1)
    second = workspace.run("--", *TARGETS)
    assert second.returncode != 0 and "lock" in second.text
    run = first.wait()
    assert run.returncode == 0, run.text
    assert results(workspace) == results(controls)


def write_images(folder: Path) -> None:
    """A dataset of stripes in a folder, three of whose test images are defective."""
    for name, count in (("train/good", 30), ("test/good", 15), ("test/spot", 15)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            rng = np.random.default_rng([i, *name.encode()])
            image = np.tile(np.arange(16) * 12, (16, 1)) + rng.integers(0, 20, (16, 16))
            if name == "test/spot":
                image[4:8, 4:8] += 60
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / name / f"{i}.png")


FOLDER = CONTROLS.replace(
    "digits: {reader: digits, normal: [1], anomalies_per_class: 4, protocol: official}",
    "digits: {reader: folder, path: images}",
)


def test_images_that_change_after_caching_are_read_again(tmp_path: Path) -> None:
    changed, fresh = Workspace(tmp_path / "changed", FOLDER), Workspace(tmp_path / "fresh", FOLDER)
    write_images(changed.folder / "images")
    finish(changed)
    before = results(changed)
    shutil.copy(changed.folder / "images/train/good/0.png", changed.folder / "images/new.png")
    Image.open(changed.folder / "images/new.png").rotate(90).save(
        changed.folder / "images/train/good/1.png"
    )
    (changed.folder / "images/new.png").unlink()
    shutil.copytree(changed.folder / "images", fresh.folder / "images")
    finish(changed)
    finish(fresh)
    assert results(changed) == results(fresh) != before


def test_jobs_whose_sources_change_during_a_run_are_refused(
    controls: Workspace, tmp_path: Path
) -> None:
    checkout = tmp_path / "checkout"
    for name in ("src", "workflow", "envs", "config"):
        shutil.copytree(ROOT / name, checkout / name)
    shutil.copy(ROOT / "Snakefile", checkout)
    workspace = CopyOfCheckout(tmp_path / "run", CONTROLS, checkout)
    started = Started(workspace)
    while "Execute" not in started.text and started.process.poll() is None:
        time.sleep(0.1)
    evaluator = checkout / "src/dualad/evaluation/evaluator.py"
    source = evaluator.read_text()
    evaluator.write_text(source.replace('"n_test": len(test)', '"n_test": -len(test)'))
    assert evaluator.read_text() != source
    run = started.wait()
    assert run.returncode != 0 and "was edited after Snakemake was started" in run.text, run.text
    assert (workspace.results / "digits/split.json").exists()
    evaluator.write_text(source)
    finish(workspace)
    assert results(workspace) == results(controls)


class CopyOfCheckout(Workspace):
    """A working directory whose workflow is a copy that can be changed."""

    def __init__(self, folder: Path, config: str, checkout: Path) -> None:
        super().__init__(folder, config)
        self._checkout = checkout

    def command(self, *arguments: str, configfiles: tuple[str, ...]) -> list[str]:
        command = super().command(*arguments, configfiles=configfiles)
        return [
            word.replace(str(ROOT / "Snakefile"), f"{self._checkout}/Snakefile") for word in command
        ]


@pytest.mark.parametrize(
    ("cores", "environment"),
    [
        ("1", {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "1"}),
        ("4", {"TZ": "America/St_Johns", "LC_ALL": "C.utf8", "PYTHONHASHSEED": "2"}),
    ],
)
def test_cores_folder_locale_and_time_zone_change_no_byte(
    network: Workspace, tmp_path: Path, cores: str, environment: dict[str, str]
) -> None:
    workspace = Workspace(tmp_path / "élsewhere with spaces", NETWORK)
    run = Started(workspace, "--cores", cores, **environment).wait()
    assert run.returncode == 0, run.text
    assert results(workspace) == results(network)
