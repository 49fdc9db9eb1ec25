import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

JOB = """
import sys
from pathlib import Path
from dualad.runtime import Runtime, configure_tensorflow
configure_tensorflow(Runtime(threads=int(sys.argv[2]), cores=1, programs=Path(sys.argv[1])))
import tensorflow as tf

@tf.function(jit_compile=True)
def product(a):
    return tf.linalg.matmul(a, tf.sin(a))

print(product(tf.reshape(tf.range(64, dtype=tf.float32), (8, 8))).numpy().tobytes().hex())
"""


def run_job(store: Path, threads: int = 1) -> str:
    command = [sys.executable, "-c", JOB, str(store), str(threads)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def programs(store: Path) -> list[Path]:
    return sorted(store.rglob("*.pb"))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    store = tmp_path_factory.mktemp("store")
    return store, run_job(store)


def test_a_program_is_compiled_once(first: tuple[Path, str]) -> None:
    store, result = first
    (program,) = programs(store)
    written = program.stat().st_mtime_ns
    assert run_job(store) == result
    assert programs(store) == [program]
    assert program.stat().st_mtime_ns == written


def test_another_number_of_threads_has_programs_of_its_own(first: tuple[Path, str]) -> None:
    store, _ = first
    before = programs(store)
    run_job(store, threads=2)
    added = set(programs(store)) - set(before)
    assert len(added) == 1
    assert added.pop().parent != before[0].parent


@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_a_damaged_program_is_compiled_again(first: tuple[Path, str], content: bytes) -> None:
    store, result = first
    program = programs(store)[0]
    before = program.read_bytes()
    program.write_bytes(content)
    run = [run_job(store, threads) for threads in (1, 2)]
    assert run == [result, result]
    assert all(path.read_bytes() not in (content, b"") for path in programs(store))
    assert len(before) > len(content)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any folder")
def test_a_folder_that_cannot_be_written_is_left_alone(
    first: tuple[Path, str], tmp_path: Path
) -> None:
    _, result = first
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert run_job(tmp_path / "store") == result


def test_a_file_in_place_of_the_folder_is_left_alone(
    first: tuple[Path, str], tmp_path: Path
) -> None:
    _, result = first
    store = tmp_path / "store"
    store.write_text("a file")
    assert run_job(store) == result
    assert store.read_text() == "a file"
