"""A Slurm cluster of one node on loopback, for as long as tests need one."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

DAEMONS = ("munged", "slurmctld", "slurmd")
_STARTING_SECONDS = 60
_CONFIG = """\
ClusterName=backtrail
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
# What belongs to a job is found by its processes: not every kernel has the cgroups Slurm wants.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0
ReturnToService=2
MinJobAge=300
KillWait=2
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={megabytes} State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


def find_daemon(name: str) -> str | None:
    """Return where a daemon of Slurm is installed, also when /usr/sbin is not on the path."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextmanager
def running_cluster(cpus: int = 2, megabytes: int = 10_000) -> Iterator[dict[str, str]]:
    """Yield the environment in which Slurm's commands find the cluster, or skip without Slurm.

    The node is told to have as many processors and as much memory as asked for; it does not look.
    """
    missing = [name for name in DAEMONS if find_daemon(name) is None]
    if missing:
        pytest.skip(f"no Slurm here: {', '.join(missing)} not found; apt-get install slurm-wlm")
    folder = Path(tempfile.mkdtemp(prefix="backtrail-slurm-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        _write_config(folder, cpus, megabytes)
        environment = _environment(folder)
        _start(stack, folder, _munge(folder), environment)
        _wait(folder, "munge", lambda: (folder / "munge.socket").exists())
        _start(stack, folder, ["slurmctld", "-D", "-i"], environment)
        _wait(folder, "slurmctld", lambda: _answers(["scontrol", "ping"], environment, "is UP"))
        _start(stack, folder, ["slurmd", "-D", "-N", "localhost"], environment)
        _wait(
            folder,
            "slurmd",
            lambda: _answers(["sinfo", "--noheader", "--format=%T"], environment, "idle"),
        )
        stack.callback(_cancel_all, environment)
        yield environment


def _write_config(folder: Path, cpus: int, megabytes: int) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    text = _CONFIG.format(
        folder=folder,
        ports=_free_ports(2),
        user=getpass.getuser(),
        cpus=cpus,
        megabytes=megabytes,
    )
    (folder / "slurm.conf").write_text(text)
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))


def _environment(folder: Path) -> dict[str, str]:
    """Return where the cluster's config is, also for the `srun` of Snakemake's job steps.

    They clear the environment of Slurm's variables, of this one, too.
    """
    config, srun = folder / "slurm.conf", folder / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={config} exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    return {"SLURM_CONF": str(config), "PATH": f"{srun.parent}:{os.environ['PATH']}"}


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _munge(folder: Path) -> list[str]:
    files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "seed-file": "seed"}
    options = [f"--{option}={folder}/munge.{name}" for option, name in files.items()]
    # Without --force it wants a socket that every user of the machine can reach.
    return ["munged", "--foreground", "--force", *options]


def _start(stack: ExitStack, folder: Path, command: list[str], environment: dict[str, str]) -> None:
    daemon = find_daemon(command[0])
    assert daemon is not None
    with (folder / f"{command[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            [daemon, *command[1:]],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    stack.callback(_stop, process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(folder: Path, name: str, is_ready) -> None:
    end = time.monotonic() + _STARTING_SECONDS
    while not is_ready():
        if time.monotonic() > end:
            logs = "\n".join(path.read_text() for path in sorted(folder.glob("*.log")))
            pytest.fail(f"{name} did not start within {_STARTING_SECONDS} s:\n{logs}")
        time.sleep(0.2)


def _answers(command: list[str], environment: dict[str, str], expected: str) -> bool:
    return expected in call(command, environment, check=False)


def call(command: list[str], environment: dict[str, str], *, check: bool = True) -> str:
    """Return what a command of Slurm says."""
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _cancel_all(environment: dict[str, str]) -> None:
    call(["scancel", "--user", getpass.getuser()], environment, check=False)
    end = time.monotonic() + 20
    while call(["squeue", "--noheader"], environment, check=False) and time.monotonic() < end:
        time.sleep(0.2)
