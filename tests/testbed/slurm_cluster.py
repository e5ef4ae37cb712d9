"""A real Slurm on one machine, for SkyPilot to bring machines up on: munge, slurmctld, a login node
with sshd, and compute nodes with a network, name and /tmp of their own; no route out.

Debian's packages go into an overlay, so this machine stays as it is. All of it hangs off one process.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

from rhdesk.clusters.sky.environment import VERSION

REGION: Final = "bed"
"""What SkyPilot calls it: slurm/bed."""
_PARTS: Final = Path(__file__).with_name("slurm")
_PACKAGES: Final = "slurmctld slurmd slurm-client munge openssh-server rsync iproute2"
_NODES: Final = 2
_GPUS: Final = 8
_READY_S: Final = 20.0
_CLEAN: Final = {
    "HOME": "/root",
    "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TERM": "xterm",
}
_SSHD: Final = """\
Port 2222
ListenAddress {net}.2
HostKey /opt/bed/hostkey
PidFile /run/bed-sshd.pid
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
MaxSessions 200
MaxStartups 150:30:200
UseDNS no
PrintMotd no
AcceptEnv SKY_CLUSTER_NAME LANG
SetEnv PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
Subsystem sftp internal-sftp
"""
# 22.05 wants a cgroup plugin even with proctrack/linuxproc; naming v1 stops its search for one.
_CGROUP: Final = "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n"
_SLURM: Final = """\
ClusterName=bed
SlurmctldHost=login({net}.2)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd/%n
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.%n.pid
SlurmctldLogFile=/var/log/slurm/ctld.log
SlurmdLogFile=/var/log/slurm/%n.log
ReturnToService=2
PropagateResourceLimits=NONE
Prolog=/opt/bed/prolog.sh
PrologFlags=Alloc
KillWait=5
InactiveLimit=0
SchedulerParameters=sched_min_interval=0
GresTypes=gpu
NodeName=node0 NodeAddr={net}.10 CPUs=4 RealMemory=8000 State=UNKNOWN
NodeName=node1 NodeAddr={net}.11 CPUs=4 RealMemory=8000 Gres=gpu:H100:8 State=UNKNOWN
PartitionName=cpu Nodes=node[0-1] Default=YES MaxTime=1-00:00:00 DefaultTime=12:00:00 State=UP
PartitionName=gpu Nodes=node1 MaxTime=1-00:00:00 DefaultTime=12:00:00 State=UP
"""


class Slurm:
    """Args:
    folder: Takes all it writes; what `build` made there is used again.
    number: 0 to 50: beds with different numbers do not meet.
    """

    def __init__(self, folder: Path, number: int = 0) -> None:
        self.folder = folder
        self.upper = folder / "upper"
        self._net = f"10.231.{180 + number}"
        self._space = f"rhbed-slurm{number}"
        self._link = f"rhslurm{number}"
        self._init = 0

    # ---- made once

    def build(self) -> None:
        """Install Slurm, and what SkyPilot would fetch on its nodes."""
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if not (self.upper / "usr/sbin/slurmctld").exists():
            self._install()
        for name in ("etc/slurm", "etc/uv", "opt/bed/dev", "root/.ssh", "var/bed"):
            (self.upper / name).mkdir(parents=True, exist_ok=True)
        if not (self.upper / "opt/bed/runtime/bin/python").exists():
            self._make_runtime()
        self._configure()

    def _install(self) -> None:
        script = f"""
            mount --make-rprivate /
            mount -t overlay overlay -o lowerdir=/,upperdir=$0/upper,workdir=$0/work $0/root
            mount -t proc proc $0/root/proc; mount --rbind /dev $0/root/dev
            printf '#!/bin/sh\\nexit 101\\n' > $0/root/usr/sbin/policy-rc.d
            chmod +x $0/root/usr/sbin/policy-rc.d
            export DEBIAN_FRONTEND=noninteractive
            chroot $0/root apt-get update -qq
            chroot $0/root apt-get install -y -qq --no-install-recommends {_PACKAGES}
        """
        _run(["unshare", "-m", "bash", "-euc", script, str(self.folder)])

    def _make_runtime(self) -> None:
        """SkyPilot's own runtime for a node, and the wheels it is checked against."""
        from uv import find_uv_bin

        uv, place = find_uv_bin(), self.upper / "opt/bed"
        shutil.copy(uv, place / "uv")
        python, wanted = "/usr/bin/python3", f"skypilot[slurm,remote]=={VERSION}"
        _run([uv, "venv", "-q", "--seed", "--relocatable", "--python", python, place / "runtime"])
        runtime = place / "runtime/bin/python"
        env = os.environ | {"UV_LINK_MODE": "copy", "UV_COMPILE_BYTECODE": "1"}
        _run([uv, "pip", "install", "-q", "--python", runtime, wanted], env)
        lock = subprocess.run(
            [uv, "pip", "freeze", "--python", runtime], capture_output=True, text=True, check=True
        )
        (place / "lock.txt").write_text(lock.stdout)
        wheels: list[str | Path] = [
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "-w",
            place / "wheels",
        ]
        _run([runtime, *wheels, "-r", place / "lock.txt", "pip", "setuptools", "wheel"])

    def _configure(self) -> None:
        upper, bed = self.upper, self.upper / "opt/bed"
        for part in _PARTS.glob("*.sh"):
            shutil.copy(part, bed / part.name)
        key = self.folder / "key"
        for file in (key, bed / "hostkey"):
            if not file.exists():
                _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file])
        shutil.copy(self.folder / "key.pub", upper / "root/.ssh/authorized_keys")
        (upper / "root/.ssh").chmod(0o700)
        (bed / "sshd_config").write_text(_SSHD.format(net=self._net))
        (upper / "etc/slurm/slurm.conf").write_text(_SLURM.format(net=self._net))
        (upper / "etc/slurm/cgroup.conf").write_text(_CGROUP)
        gpus = f"NodeName=node1 Name=gpu Type=H100 File=/opt/bed/dev/gpu[0-{_GPUS - 1}]\n"
        (upper / "etc/slurm/gres.conf").write_text(gpus)
        for number in range(_GPUS):
            (bed / f"dev/gpu{number}").touch()
        nodes = "".join(f"{self._net}.1{n} node{n}\n" for n in range(_NODES))
        (upper / "etc/hosts").write_text(f"127.0.0.1 localhost\n{self._net}.2 login\n{nodes}")
        uv = 'no-index = true\nfind-links = ["/opt/bed/wheels"]\npython-downloads = "never"\n'
        (upper / "etc/uv/uv.toml").write_text(uv)
        for name in (".bashrc", ".profile"):  # what a developer has there may take long
            (upper / "root" / name).write_text("")

    def lend(self, home: Path) -> None:
        """Have SkyPilot of *home* know this cluster, and the names of some accelerators."""
        (home / ".slurm").mkdir(parents=True, exist_ok=True)
        (home / ".slurm/config").write_text(
            f"Host {REGION}\n  HostName {self._net}.2\n  Port 2222\n  User root\n"
            f"  IdentityFile {self.folder}/key\n  IdentitiesOnly yes\n"
        )
        lists = home / ".sky/catalogs/v8/common"
        lists.mkdir(parents=True, exist_ok=True)
        names = "".join(f"{name},['AWS']\n" for name in ("A100", "H100", "H200", "L4", "T4"))
        (lists / "accelerators.csv").write_text(f"AcceleratorName,Clouds\n{names}")
        (home / ".sky/config.yaml").write_text(
            "allowed_clouds: [slurm]\nslurm:\n  provision_timeout: 20\n"
            "  pricing: {cpu: 0.04, memory: 0.01, accelerators: {H100: 2.5}}\n"
        )

    # ---- life

    def start(self) -> None:
        _run(["ip", "netns", "add", self._space])
        _run(["ip", "-n", self._space, "link", "set", "lo", "up"])
        ends = ["type", "veth", "peer", "name", "v0", "netns", self._space]
        _run(["ip", "link", "add", self._link, *ends])
        _run(["ip", "addr", "add", f"{self._net}.1/24", "dev", self._link])
        _run(["ip", "link", "set", self._link, "up"])
        # Also what slurmd noted of jobs: they are numbered from 1 again, and one it knows gets no
        # prolog.
        spools = ("var/spool/slurmctld", "var/spool/slurmd")
        for left in (*spools, "var/bed/tmp", "root/.sky_clusters", "root/.rhdesk"):
            shutil.rmtree(self.upper / left, ignore_errors=True)
        script = f"""
            S=$0; R=$S/root
            mount --make-rprivate /
            mount -t overlay overlay -o lowerdir=/,upperdir=$S/upper,workdir=$S/work $R
            mount -t proc proc $R/proc; mount --rbind /sys $R/sys; mount --rbind /dev $R/dev
            mount -t tmpfs -o mode=755 tmpfs $R/run; mount -t tmpfs -o mode=1777 tmpfs $R/dev/shm
            mount -t tmpfs -o mode=1777 tmpfs $R/tmp
            exec chroot $R /opt/bed/init.sh {_NODES} {self._net}
        """
        apart = ["unshare", "-m", "-p", "-u", "-i", "-f", "--kill-child"]
        holder = subprocess.Popen(
            ["ip", "netns", "exec", self._space, *apart, "bash", "-euc", script, str(self.folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._holder = holder
        until = time.monotonic() + _READY_S
        while not self._is_ready():
            if time.monotonic() > until or holder.poll() is not None:
                self.stop()
                log = self.upper / "var/log/bed-init.log"
                raise RuntimeError(f"Slurm did not start: {log.read_text()[-2000:]}")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        found = children.read_text().split()
        self._init = int(found[0]) if found else 0
        if not self._init or not Path(f"/proc/{self._init}/root/run/bed-ready").exists():
            return False
        idle = self.command("sinfo", "-h", "-N", "-p", "cpu", "-o", "%t", check=False)
        return idle.split() == ["idle"] * _NODES

    def stop(self) -> None:
        """End it with everything that runs on it."""
        if self._init:
            os.kill(self._init, signal.SIGKILL)
        self._holder.wait(10)
        self._init = 0
        _run(["ip", "netns", "del", self._space])

    # ---- looking

    def command(self, *words: str, check: bool = True) -> str:
        """Run something on the login node, as root."""
        inside = [
            "nsenter",
            "-t",
            str(self._init),
            *["-m", "-p", "-u", "-i", "-n", "-r", "-w"],
            *words,
        ]
        done = subprocess.run(inside, capture_output=True, text=True, check=check, env=_CLEAN)
        return done.stdout

    def queue(self) -> list[str]:
        """Jobs, by name."""
        return self.command("squeue", "-h", "-o", "%j").split()

    def processes(self) -> list[str]:
        """Command lines of all that runs on it and is not Slurm's, sshd's or the bed's own."""
        own = ("slurm", "munge", "sshd", "/opt/bed/", "sleep 3600", "ps ", "[")
        lines = self.command("ps", "-eo", "args", "--no-headers").splitlines()
        return [line for line in lines if line.strip() and not any(o in line[:60] for o in own)]

    def drain(self, node: str) -> None:
        """Have a node take no more jobs; `resume` takes it back."""
        self.command("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")

    def resume(self, node: str) -> None:
        self.command("scontrol", "update", f"NodeName={node}", "State=RESUME")


def _run(words: list[str | Path], env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, env=env
    )
    if done.returncode:
        raise RuntimeError(f"{words[0]} failed with {done.returncode}: {done.stderr[-2000:]}")
