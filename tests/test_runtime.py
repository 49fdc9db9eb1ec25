"""What a job may use: a missing GPU is said, and the job goes on."""

import os
import subprocess
import sys

PROGRAM = """
import logging, os, sys
logging.basicConfig(level=logging.INFO)
from dualad.runtime import Runtime, configure_tensorflow
device = configure_tensorflow(Runtime(threads=2, cores=1, gpu=1))
import tensorflow as tf
print(*({"sklearn", "matplotlib"} & set(sys.modules)))
import sklearn.cluster
from threadpoolctl import threadpool_info
pools = {pool["num_threads"] for pool in threadpool_info()}
print(device, tf.config.threading.get_intra_op_parallelism_threads(), *pools)
print(len(os.sched_getaffinity(0)), tf.config.experimental.tensor_float_32_execution_enabled())
tf.constant(1.0) + 1
"""


def test_a_gpu_asked_for_and_absent_is_said_and_the_job_runs_on_the_cpu() -> None:
    # Snakemake sets the others, to the cores that a job gets.
    environment = {
        **{name: os.environ[name] for name in os.environ if name != "TF_CPP_MIN_LOG_LEVEL"},
        "CUDA_VISIBLE_DEVICES": "-1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert "a GPU was asked for and none is visible: running on the CPU" in run.stderr
    # One message, ours: TensorFlow's own about the driver says no more.
    assert "cuInit" not in run.stderr
    # The pools keep their size, which the results' last bits depend on; the cores are limited.
    # TF32, which TensorFlow would allow, is off.
    # What Keras would load beside TensorFlow comes when it is asked for.
    assert run.stdout.splitlines() == ["", "CPU 2 2", "1 False"]


def test_a_log_without_a_gpu_has_no_error_about_cuda() -> None:
    program = (
        "from dualad.runtime import Runtime, configure_tensorflow\n"
        "configure_tensorflow(Runtime(threads=1, cores=1, gpu=0))\n"
        "import tensorflow as tf\n"
        "tf.constant(1.0) + 1\n"
    )
    environment = {name: os.environ[name] for name in os.environ if name != "TF_CPP_MIN_LOG_LEVEL"}
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert "cuInit" not in run.stderr and "\nE0" not in run.stderr


JOINING = """
import logging, sys
logging.basicConfig(level=logging.INFO)
from dualad.runtime import Runtime, join_tensorflow
join_tensorflow(Runtime(threads=1, cores=1))
import tensorflow as tf
print(float(tf.constant(1.0) + 1))
"""


def test_a_detector_in_ones_own_process_starts_without_notices_of_tensorflow() -> None:
    run = subprocess.run(
        [sys.executable, "-c", JOINING], capture_output=True, text=True, check=True
    )
    assert run.stdout == "2.0\n"
    assert run.stderr == "INFO:dualad.runtime:device: CPU, 1 threads on 1 cores\n"


def test_it_starts_without_standard_error() -> None:
    command = f"{sys.executable} - 2>&-"
    run = subprocess.run(
        command, shell=True, input=JOINING, capture_output=True, text=True, check=True
    )
    assert run.stdout == "2.0\n"
