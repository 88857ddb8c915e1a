"""A SLURM of one node on this machine, from Debian's packages `slurm-wlm` and `munge`; for tests.

Everything it writes lies in a folder of its own, except /etc/slurm/slurm.conf and gres.conf, where
job steps look for them. Where a slurm.conf lies already it refuses: that is somebody's cluster.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

CONFIGURATION = Path("/etc/slurm/slurm.conf")
DEVICES = CONFIGURATION.with_name("gres.conf")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
# More processors than the machine may have, so that jobs which only sleep delay no others
SLURM_CONF = """\
ClusterName=hessian
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
MessageTimeout=5
KillWait=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:1 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Why there can be no cluster here, or an empty string."""
    if os.geteuid() != 0:
        return "a SLURM of one's own needs root"
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed: apt-get install slurm-wlm munge"
    if CONFIGURATION.exists():
        return f"{CONFIGURATION} exists: this machine belongs to a cluster"
    return ""


class Cluster:
    """munged, slurmctld and slurmd, started together and ended together by their process ids."""

    def __init__(self, folder: Path, *, cpus: int = 4, memory: int = 16000) -> None:
        self.folder, self.cpus, self.memory = folder, cpus, memory
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Cluster":
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)  # munged distrusts a folder that others could write into
        CONFIGURATION.parent.mkdir(exist_ok=True)
        CONFIGURATION.write_text(
            SLURM_CONF.format(
                host=socket.gethostname().split(".")[0],
                folder=self.folder,
                ports=_free_ports(2),
                cpus=self.cpus,
                memory=self.memory,
            )
        )
        DEVICES.write_text("Name=gpu File=/dev/null\n")
        try:
            self._start_munge()
            self.start_controller()
            self._start("slurmd", "slurmd", "-D")
            self._wait_until(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if "slurmctld" in self.processes:
            subprocess.run(["scancel", "--user=root", "--signal=KILL"], capture_output=True)
            subprocess.run(["scancel", "--user=root"], capture_output=True)
            time.sleep(3)
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        CONFIGURATION.unlink(missing_ok=True)
        DEVICES.unlink(missing_ok=True)

    def ask(self, *command: str) -> str:
        """The answer of one of SLURM's commands, empty while the controller is away."""
        return subprocess.run(command, capture_output=True, text=True).stdout

    def start_controller(self) -> None:
        self._start("slurmctld", "slurmctld", "-D")
        self._wait_until(lambda: "UP" in self.ask("scontrol", "ping"))

    def kill_controller(self) -> None:
        """As a crash would: no state is saved on the way."""
        self.processes["slurmctld"].send_signal(signal.SIGKILL)
        self.processes["slurmctld"].wait()

    def jobs(self) -> dict[str, tuple[str, str]]:
        """State and comment (rule and wildcards) of every job by its id, finished ones too."""
        lines = self.ask("squeue", "--all", "--states=all", "--noheader", "--format=%i|%T|%k")
        fields = (line.split("|", 2) for line in lines.splitlines())
        return {job: (state, comment) for job, state, comment in fields}

    def steps(self) -> list[str]:
        """The ids of the steps that run."""
        return self.ask("squeue", "--steps", "--noheader", "--format=%i").split()

    def _start(self, name: str, *command: str) -> None:
        with open(self.folder / f"{name}.out", "ab") as log:
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        options = [f"--{what}-file={self.folder}/munge.{what}" for what in ("key", "log", "pid")]
        options += [f"--seed-file={self.folder}/munge.seed", "--foreground", "--force"]
        self._start("munged", "munged", f"--socket={self.folder}/munge.socket", *options)
        self._wait_until((self.folder / "munge.socket").exists)

    def _wait_until(self, condition, seconds: float = 30) -> None:  # type: ignore[no-untyped-def]
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                logs = [path.read_text()[-2000:] for path in self.folder.glob("*.out")]
                raise TimeoutError("SLURM does not start:\n" + "\n".join(logs))
            time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
