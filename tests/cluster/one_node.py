"""A Slurm of one node on this machine, with two GPUs that are none, while a test needs it."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

# The jobs that Snakemake's plugin starts look nowhere else: it forgets SLURM_CONF.
ETC = Path("/etc/slurm")
COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
AccountingStorageType=accounting_storage/none
# Without control groups, Slurm itself looks how much memory a job takes.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
KillWait=5
MinJobAge=600
ReturnToService=2
# A third attempt asks for more memory than there may be, and takes little of it.
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=64000 Gres=gpu:2
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def obstacle() -> str:
    """Why no Slurm can be started here; empty if one can."""
    if os.geteuid() != 0:
        return "Slurm's daemons need to be started by root"
    if (ETC / "slurm.conf").exists():
        return f"{ETC / 'slurm.conf'} exists: this machine has a Slurm of its own"
    missing = [command for command in COMMANDS if shutil.which(command) is None]
    return f"not installed: {', '.join(missing)} (packages slurm-wlm and munge)" if missing else ""


class OneNode:
    """Slurm's daemons; they write into one folder, and their settings are removed at the end.

    Parameters
    ----------
    folder
        Where they write; its path should be short, because a socket's name may not be long.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        folder, host = self._folder, socket.gethostname()
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True)
        # Devices that are no GPUs, but there.
        (ETC / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
        (ETC / "slurm.conf").write_text(
            CONFIGURATION.format(
                folder=folder,
                host=host,
                # Two jobs run side by side, each on all cores.
                cores=2 * (os.cpu_count() or 1),
            )
        )
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        files = {
            "key-file": key,
            "socket": folder / "munge.socket",
            "pid-file": self._pid("munged"),
        }
        files |= {"log-file": folder / "munged.log", "seed-file": folder / "munge.seed"}
        options = [f"--{name}={path}" for name, path in files.items()]
        subprocess.run(["munged", "--force", *options], check=True)
        subprocess.run(["slurmctld"], check=True)
        subprocess.run(["slurmd"], check=True)
        deadline = time.monotonic() + 60
        while "idle" not in self.ask("sinfo", "--noheader", "--format=%T"):
            if time.monotonic() > deadline:
                raise TimeoutError((folder / "slurmd.log").read_text())
            time.sleep(1)
        return self

    def __exit__(self, *_: object) -> None:
        self.ask("scancel", "--user=root")
        deadline = time.monotonic() + 60
        while self.ask("squeue", "--noheader") and time.monotonic() < deadline:
            time.sleep(1)
        for daemon in ("slurmd", "slurmctld", "munged"):
            if self._pid(daemon).exists():
                os.kill(int(self._pid(daemon).read_text()), signal.SIGTERM)
            deadline = time.monotonic() + 30
            # It removes the file when it ends.
            while self._pid(daemon).exists() and time.monotonic() < deadline:
                time.sleep(0.1)
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).unlink()

    def ask(self, *command: str) -> str:
        """What a command of Slurm says."""
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def running(self, comment: str) -> list[str]:
        """Numbers of the running jobs whose comment begins so, in the order of submission."""
        lines = self.ask("squeue", "--noheader", "--states=running", "--format=%i %k").splitlines()
        jobs = [line.split()[0] for line in lines if line.split()[1].startswith(comment)]
        return sorted(jobs, key=int)

    def _pid(self, daemon: str) -> Path:
        return self._folder / f"{daemon}.pid"
