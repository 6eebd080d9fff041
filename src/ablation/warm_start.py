"""Warm start: jobs that use TensorFlow are forked from a process that has imported it.

The import takes longer than the training of a small run. The first job of an invocation of
Snakemake starts a server, which imports the libraries and runs nothing. Each job sends its
command and its open files to the server, which forks a child for it. The job waits, passes signals
on and ends with the exit status of the child. If the job is killed, its child is killed; if the
server is killed, all its children are killed.

A server serves only jobs with its own environment variables (except for numbers of threads),
folder, interpreter, installed packages and code of this package. It ends with the invocation, or
when it has been idle for a minute. Forking is safe only while the runtime of TensorFlow has not
started, which the server checks. In all other cases the job starts cold: it imports TensorFlow
itself.

The module imports only the standard library, because each job imports it. Linux only.
"""

import ctypes
import gc
import hashlib
import importlib
import json
import os
import resource
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn, cast

VARIABLE = "ABLATION_WARM_START"
"""Process id of the invocation that servers end with; jobs start cold if it is unset or empty."""

COMMANDS = ("prepare", "train", "describe-models", "gallery")
"""The commands of `ablation.cli` that the rules call and that import TensorFlow."""

_MODULES = (
    "ablation.cli",
    "ablation.augmentation.gallery",
    "ablation.data.prepare",
    "ablation.models.table",
    "ablation.training.run",
)
# Snakemake sets them to the threads of the rule. NumPy reads some when it is imported, but no job
# needs its threads.
_THREADS = (
    "GOTO_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
IDLE_SECONDS = 60
_MESSAGE_BYTES = 1 << 20  # more than a socket takes
_PR_SET_PDEATHSIG = 1
_FORKED = b"forked"
_STATUS = struct.Struct("i")
_PEER = struct.Struct("3i")  # process, user and group


def run_warm(words: list[str]) -> None:
    """Run a command in a child of the server and exit with its status.

    Returns if the command has to start cold: without the variable, for other commands, on other
    systems, in a container, and with a line on standard error if the server cannot serve it.

    Args:
        words: the command and its arguments.
    """
    invocation = os.environ.get(VARIABLE)
    if not invocation or sys.platform != "linux" or not words or words[0] not in COMMANDS:
        return
    # The connection must not take the place of a closed standard stream.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(descriptor)
    try:
        if any(_namespace("self", kind) != _namespace(invocation, kind) for kind in ("mnt", "pid")):
            return  # in a container, which may end with its job
        server = _connection()
        request = json.dumps([words, dict(os.environ)]).encode()
        socket.send_fds(server, [request], [0, 1, 2])
        answer = server.recv(_MESSAGE_BYTES)
    except OSError as error:
        reason = str(error)
    else:
        if answer == _FORKED:
            _wait(server)
        reason = answer.decode() or "the server has ended"
    print(f"cold start: {reason}", file=sys.stderr, flush=True)


def _namespace(process: str, kind: str) -> str:
    return str(Path(f"/proc/{process}/ns/{kind}").readlink())


def _connection() -> socket.socket:
    """Return a connection to the server, which is started if there is none."""
    key = _key()
    # An abstract name exists only as long as the socket. Binding it is atomic, so that of several
    # jobs one starts the server; the others can connect before it has imported anything.
    address = f"\0ablation-{key}"
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        # If the address is in use, another job has started the server.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            listening.bind(address)
            listening.listen(socket.SOMAXCONN)
            subprocess.Popen(
                [sys.executable, "-m", __name__, key, str(listening.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[listening.fileno()],
                start_new_session=True,  # Ctrl-C reaches the jobs only
            )
        connection.connect(address)
        if not _is_own(connection):
            raise PermissionError("the server belongs to another user")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_own(connection: socket.socket) -> bool:
    """Return whether the other end belongs to this user; anybody can use an abstract name."""
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return bool(_PEER.unpack(peer)[1] == os.getuid())


def _wait(server: socket.socket) -> NoReturn:
    """Pass signals on to the child and exit as it does."""

    def pass_on(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stops = number == signal.SIGTSTP  # Ctrl-Z
        with suppress(OSError):  # the child has just ended
            server.send(bytes([signal.SIGSTOP if stops else number]))
        if stops:
            os.kill(os.getpid(), signal.SIGSTOP)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTSTP, signal.SIGCONT):
        signal.signal(number, pass_on)
    try:
        answer = server.recv(_STATUS.size)
    except ConnectionResetError:
        answer = b""
    server.close()
    if not answer:
        sys.exit("error: the server of the warm start was killed, and this job with it")
    code = os.waitstatus_to_exitcode(_STATUS.unpack(answer)[0])
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


def _key() -> str:
    """Return the digest of what a job and its server must have in common."""
    variables = {name: one for name, one in os.environ.items() if name not in ("_", *_THREADS)}
    shared = [variables, str(Path.cwd()), sys.executable, sys.version, _code()]
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()


def _code() -> str:
    """Return the digest of the code of this package and of the versions of other packages."""
    digest = hashlib.sha256()
    for place in filter(os.path.isdir, sys.path):
        distributions = sorted(entry.name for entry in Path(place).glob("*.dist-info"))
        digest.update(repr([place, distributions]).encode())
    for file in sorted(Path(__file__).parent.rglob("[!.]*.py")):
        digest.update(repr([str(file), hashlib.sha256(file.read_bytes()).hexdigest()]).encode())
    return digest.hexdigest()


class _Server:
    """Forks a child for each job.

    Args:
        key: `_key` of the job that started this process.
        listening: the socket that jobs connect to.
        invocation: process id of Snakemake.
    """

    def __init__(self, key: str, listening: socket.socket, invocation: int) -> None:
        self._key, self._listening = key, listening
        self._refusal = ""
        self._jobs: dict[socket.socket, int | None] = {}  # their children, once forked
        self._selector = selectors.DefaultSelector()
        self._ended = os.pidfd_open(invocation)
        self._selector.register(self._listening, selectors.EVENT_READ, self._accept)
        self._selector.register(self._ended, selectors.EVENT_READ, self._stop_accepting)

        # Each job takes two descriptors.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def serve(self) -> list[str] | None:
        """Serve jobs until the invocation ends or no job is left for a minute.

        Returns:
            The command in a child; None in the server.
        """
        self._refusal = _import(self._key)
        gc.freeze()  # the children share the memory of what has been imported
        while self._jobs or self._listening.fileno() >= 0:
            events = self._selector.select(None if self._jobs else IDLE_SECONDS)
            if not events:
                return None
            # One at a time, because it may close what the others are about.
            command: list[str] | None = events[0][0].data()
            if command is not None:
                return command
        return None

    def _stop_accepting(self) -> None:
        self._selector.unregister(self._listening)
        self._selector.unregister(self._ended)
        self._listening.close()

    def _accept(self) -> None:
        job, _ = self._listening.accept()
        if not _is_own(job):
            job.close()
            return
        self._jobs[job] = None
        self._selector.register(job, selectors.EVENT_READ, lambda: self._receive(job))

    def _receive(self, job: socket.socket) -> list[str] | None:
        """Receive the command of a job, a signal for its child, or its end."""
        try:
            message, files, _, _ = socket.recv_fds(job, _MESSAGE_BYTES, 3)
        except ConnectionResetError:  # it was killed before it read an answer
            message, files = b"", []
        child = self._jobs[job]
        if child is None and message and len(files) == 3:
            command, variables = json.loads(message)
            return self._start(job, command, variables, files)
        if child is None:
            self._forget(job)
        elif message:
            with suppress(ProcessLookupError):
                os.kill(child, message[0])
        else:
            os.kill(child, signal.SIGKILL)
            self._selector.unregister(job)
        return None

    def _start(
        self, job: socket.socket, command: list[str], variables: dict[str, str], files: list[int]
    ) -> list[str] | None:
        """Fork the child of a job, which returns the command."""
        server, child, refusal = os.getpid(), None, self._refusal
        if not refusal:
            try:
                child = os.fork()
            except OSError as error:
                refusal = str(error)
        if child == 0:
            self._become_child(server, files)
            os.environ.update(variables)
            return command
        for file in files:
            os.close(file)
        with suppress(OSError):  # the job has been killed, which `_receive` notices
            job.send(_FORKED if child else refusal.encode())
        if child is None:
            self._forget(job)
            return None
        self._jobs[job] = child
        process = os.pidfd_open(child)
        self._selector.register(
            process, selectors.EVENT_READ, lambda: self._reap(job, child, process)
        )
        return None

    def _become_child(self, server: int, files: list[int]) -> None:
        """Turn this process from a copy of the server into the process of a job."""
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server:  # it was killed before
            os._exit(1)
        for standard, file in enumerate(files):
            os.dup2(file, standard)
            os.close(file)
        # The streams of the server would not notice a terminal or a pipe.
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        for event in list(self._selector.get_map().values()):
            if isinstance(event.fileobj, int):
                os.close(event.fileobj)
            else:
                cast(socket.socket, event.fileobj).close()
        self._selector.close()

    def _reap(self, job: socket.socket, child: int, process: int) -> None:
        """Report the status of a child that has ended."""
        _, status = os.waitpid(child, 0)
        self._selector.unregister(process)
        os.close(process)
        with suppress(OSError):  # the job has been killed
            job.send(_STATUS.pack(status))
        self._forget(job)

    def _forget(self, job: socket.socket) -> None:
        with suppress(KeyError):
            self._selector.unregister(job)
        del self._jobs[job]
        job.close()


def _import(key: str) -> str:
    """Import what the jobs use, and return why they cannot be forked; empty if they can."""
    found, code, files = _key(), _code(), _open_files()
    from ablation.quiet import import_tensorflow  # noqa: PLC0415

    import_tensorflow()
    for module in _MODULES:
        importlib.import_module(module)
    from tensorflow.python.eager import context  # noqa: PLC0415

    if context.context_safe() is not None:
        return "the runtime of TensorFlow has started"
    if opened := _open_files() - files:  # such as a GPU, which would fail in the children
        return f"the import has opened {min(opened)}"
    if found != key or code != _code():
        return "the code was edited while it was imported"
    return ""


def _open_files() -> set[str]:
    """Return what the descriptors of this process refer to."""
    found = set()
    for descriptor in list(Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):  # that of the folder itself
            found.add(str(descriptor.readlink()))
    return found


def _main(key: str, descriptor: str) -> None:
    with socket.socket(fileno=int(descriptor)) as listening:
        command = _Server(key, listening, int(os.environ[VARIABLE])).serve()
    if command is not None:
        del os.environ[VARIABLE]
        sys.argv[1:] = command
        runpy.run_module("ablation", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
