"""A cluster of Slurm on the loopback interface: a controller, and nodes with a pretended GPU each.

Every daemon runs in its own PID namespace, so that its jobs end with it, as when a computer loses
power, and all end with the tests, however those end. A node also has a host name of its own.
"""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

PACKAGES = ("munge", "slurm-client", "slurmctld", "slurmd")
PROGRAMS = ("munged", "squeue", "slurmctld", "slurmd")
NODES = ("node1", "node2")
MEMORY = 16_000  # MB of a node, pretended
CONFIGURATION = """\
ClusterName=pretended
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthInfo=socket={folder}/munge.socket,cred_expire=10
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherParams=OverMemoryKill
JobAcctGatherFrequency=task=2
MinJobAge=300
SlurmdTimeout=10
ReturnToService=2
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=UNLIMITED DefMemPerNode=500
"""
NODE = "NodeName={0} NodeHostname={0} NodeAddr=127.0.0.1 Port={1} CPUs=8 RealMemory={2} Gres=gpu:1"
LONGEST = 60  # seconds until a daemon answers


def install():
    """Install Slurm from Debian's packages if it is missing."""
    if not all(map(shutil.which, PROGRAMS)):
        words = ["apt-get", "--quiet=2", "--yes", "--no-install-recommends"]
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run([*words, "update"], env=environment, check=True)
        subprocess.run([*words, "install", *PACKAGES], env=environment, check=True)


class Cluster:
    """The cluster; a context manager that ends it.

    Attributes:
        environment: variables for programs that use the cluster.
    """

    def __init__(self, folder):
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons = {}

    def __enter__(self):
        for name in ("state", "log"):
            (self.folder / name).mkdir()
        self._configure()
        try:
            files = [
                f"--{name}-file={self.folder}/munge.{name}"
                for name in ("key", "pid", "log", "seed")
            ]
            socket_ = f"--socket={self.folder}/munge.socket"
            self._start("munged", "munged", "--foreground", "--force", socket_, *files)
            _until((self.folder / "munge.socket").exists, "munged")
            self._start("slurmctld", "slurmctld", "-D", "-c")
            for name in NODES:
                self.start_node(name)
            for name in NODES:
                _until(lambda name=name: self.state_of(name) == "idle", name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in list(self._daemons):
            self.kill(name)

    def _configure(self):
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        ports = _free_ports(1 + len(NODES))
        nodes = [
            NODE.format(name, port, MEMORY) for name, port in zip(NODES, ports[1:], strict=True)
        ]
        text = CONFIGURATION.format(
            host=socket.gethostname(), port=ports[0], folder=self.folder, nodes="\n".join(nodes)
        )
        (self.folder / "slurm.conf").write_text(text)
        cards = []
        for number, name in enumerate(NODES):
            card = self.folder / f"card{number}"
            os.mknod(card, 0o666 | stat.S_IFCHR, os.makedev(1, 3))  # as /dev/null
            cards.append(f"NodeName={name} Name=gpu File={card}\n")
        (self.folder / "gres.conf").write_text("".join(cards))
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost {' '.join(NODES)}\n")

    def _start(self, name, *command):
        ends_with_tests = ["setpriv", "--pdeathsig", "KILL"]
        own = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts"]
        with (self.folder / "log" / name).open("a") as log:
            self._daemons[name] = subprocess.Popen(
                [*ends_with_tests, *own, *command],
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_node(self, name):
        """Start the daemon of a node."""
        # Programs in jobs read /etc/slurm, because the executor drops SLURM_CONF.
        script = (
            'hostname "$0" && mount --bind hosts /etc/hosts && mount --bind . /etc/slurm && '
            "exec slurmd -D"
        )
        self._start(name, "sh", "-c", script, name)

    def kill(self, name):
        """Kill a daemon, and all jobs if it is that of a node."""
        daemon = self._daemons.pop(name)
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()

    def call(self, *words):
        """Return the output of a program of Slurm."""
        done = subprocess.run(
            words,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def state_of(self, node):
        """Return the state of a node; empty before the controller answers."""
        command = ["sinfo", "--noheader", f"--nodes={node}", "--format=%T"]
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def jobs(self, folder):
        """Return the fields of the jobs that were submitted in a folder, by job id."""
        lines = self.call("scontrol", "show", "jobs", "--oneliner").splitlines()
        found = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines]
        return {
            int(job["JobId"]): job for job in found if job.get("WorkDir") == str(folder.resolve())
        }


def _free_ports(number):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _until(condition, what):
    end = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < end, f"no sign of {what}"
        time.sleep(0.2)
