"""Which device a training job takes: one that it may use and that no other job holds.

Nothing here imports TensorFlow, which reads ``CUDA_VISIBLE_DEVICES`` once.
"""

import fcntl
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from ablation.errors import InputError, visible
from ablation.storage import writing

VARIABLE = "CUDA_VISIBLE_DEVICES"
SIMULATED = "simulated-"
POLL_SECONDS = 1.0
NVIDIA_SMI_SECONDS = 60.0  # a machine with many sleeping cards may take some ten
NVIDIA_SMI_TRIES = 3
# What every program that uses a card opens: where it exists, there are cards to share.
CONTROL = Path("/dev/nvidiactl")

_CARD = re.compile(r"GPU (\d+): .*\(UUID: (GPU-[^)]+)\)")
_INSTANCE = re.compile(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)")
_INDEX = re.compile(r"[0-9]{1,4}")
_UUID = re.compile(r"(GPU|MIG)-[^\s,]*")


@dataclass(frozen=True)
class Claim:
    """What a job got.

    Attributes:
        device: the UUID of the device that is the job's, or the name of a simulated one; None
            where there is none.
        told: the same in words, for the log.
    """

    device: str | None
    told: str


@contextmanager
def claim(
    simulated: int = 0,
    per_device: int = 1,
    folder: Path | None = None,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Claim]:
    """Take one device for as long as the block lasts, and wait for one if need be.

    The first free device is taken, in the order in which they are visible; where jobs may share
    them, the first place on each goes before the second on any. The kernel ends the claim with
    the process, however that ends; children that outlive it do not hold the device. TensorFlow
    leaves a card only with its process, so the process should end with the block.

    Within the block ``CUDA_VISIBLE_DEVICES`` names that device alone. It stays as it is for a
    simulated device and where there is none, in which case nothing is waited for.

    Args:
        simulated: if above 0, so many pretended devices are given out instead of those that are
            there, and the job trains on what TensorFlow finds.
        per_device: how many jobs may share a device, at least 1. Jobs of 1 share with none,
            whatever the others allow; among others the largest number counts.
        folder: where the locks are; by default one for all users and jobs of the machine, in the
            folder for temporary files. Jobs share locks only if they agree on it.
        check: called about once a second while waiting; what it raises ends that.

    Raises:
        InputError: ``nvidia-smi`` cannot list the GPUs, or the folder or a lock in it cannot be
            used; the message names it.
    """
    if simulated:
        devices, reason = [f"{SIMULATED}{i}" for i in range(simulated)], ""
    else:
        devices, reason = _find(os.environ, check)
    if not devices:
        yield Claim(None, f"no GPU known: {reason}")
        return
    folder = folder or Path(tempfile.gettempdir()) / "ablation-devices"
    with ExitStack() as held:
        device = _wait(held, devices, per_device, folder, check)
        if not simulated:
            held.callback(_set, os.environ.get(VARIABLE))
            _set(device)
        yield Claim(device, _told(device, devices, per_device))


def visible_devices(environment: Mapping[str, str]) -> list[str]:
    """Return the UUIDs of the GPUs that a process may use, each once, in its order.

    They are those that ``CUDA_VISIBLE_DEVICES`` names, up to the first that is no device, as CUDA
    reads it, or all that ``nvidia-smi`` lists if it is unset. Instances (MIG) stand in the place
    of their card.

    Args:
        environment: the process' environment variables.

    Raises:
        InputError: ``nvidia-smi`` fails, or is missing on a machine with GPUs.
    """
    return _find(environment, lambda: None)[0]


def _find(environment: Mapping[str, str], check: Callable[[], None]) -> tuple[list[str], str]:
    """Return the devices, and the reason for the case that there are none."""
    given = environment.get(VARIABLE)
    tokens = [] if given is None else [token.strip() for token in given.split(",")]
    if tokens and not _may_be_device(tokens[0]):
        return [], f"{VARIABLE} is {given!r}"
    cards, reason = _cards(environment, check)
    if not tokens:
        return [name for card in cards for name in card.usable], reason
    devices: list[str] = []
    for token in tokens:
        name = _name(token, cards)
        if name is None:
            break
        if name not in devices:
            devices.append(name)
    return devices, f"{VARIABLE} is {given!r}" if cards else reason


@dataclass(frozen=True)
class _Card:
    index: int
    uuid: str
    instances: list[str]

    @property
    def usable(self) -> list[str]:
        """UUIDs of what a process can use of it."""
        return self.instances or [self.uuid]


def _cards(environment: Mapping[str, str], check: Callable[[], None]) -> tuple[list[_Card], str]:
    """Return the cards that ``nvidia-smi`` lists, and the reason for the case that there are none.

    Names come from nowhere else: if a job used another source where ``nvidia-smi`` fails, it
    would lock a card under another name than the others do. No other source that needs no CUDA
    knows the instances of a card.
    """
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if program is None:
        if CONTROL.exists():
            raise _unlisted("nvidia-smi is not on the PATH")
        return [], "there is no nvidia-smi"
    problem = ""
    for attempt in range(NVIDIA_SMI_TRIES):
        if attempt:
            print(f"{visible(problem)}; trying again", flush=True)
            check()
            time.sleep(POLL_SECONDS)
        listing, problem = _listing(program, environment)
        if not problem:
            break
    else:
        raise _unlisted(problem)
    cards: list[_Card] = []
    for line in listing.splitlines():
        if card := _CARD.match(line):
            cards.append(_Card(int(card[1]), card[2], []))
        elif (instance := _INSTANCE.match(line)) and cards:
            cards[-1].instances.append(instance[1])
    return cards, "nvidia-smi lists none"


def _unlisted(problem: str) -> InputError:
    return InputError(
        f"{problem}; it has to list the GPUs, so that no two jobs take the same one; see that "
        f"'nvidia-smi -L' works, or set {VARIABLE}=-1 to train without a GPU"
    )


def _listing(program: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return what ``nvidia-smi -L`` prints, and why it failed if it did."""
    try:
        done = subprocess.run(
            [program, "-L"],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=NVIDIA_SMI_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", f"nvidia-smi did not answer within {NVIDIA_SMI_SECONDS:g} seconds"
    except OSError as error:
        return "", f"nvidia-smi cannot be run: {error.strerror}"
    if done.returncode != 0:
        said = " ".join((done.stderr + done.stdout).split())[:300]
        return "", f"nvidia-smi failed with status {done.returncode}: {said}"
    return done.stdout, ""


def _may_be_device(token: str) -> bool:
    return bool(_INDEX.fullmatch(token) or _UUID.fullmatch(token))


def _name(token: str, cards: list[_Card]) -> str | None:
    """Return the UUID of what ``CUDA_VISIBLE_DEVICES`` calls so; None if it is no device."""
    if not _may_be_device(token):
        return None
    if _INDEX.fullmatch(token):
        # nvidia-smi counts by PCI bus, as CUDA does if CUDA_DEVICE_ORDER is PCI_BUS_ID; otherwise
        # CUDA counts from the fastest card. The job gets the card of this UUID in either case.
        found = [card.usable[0] for card in cards if card.index == int(token)]
    else:
        # CUDA uses the first instance of a card that is named as a whole.
        names = {card.uuid: card.usable[0] for card in cards}
        names |= {name: name for card in cards for name in card.instances}
        found = [name for uuid, name in names.items() if uuid.startswith(token)]
        found = [names[token]] if token in names else found
    return found[0] if len(found) == 1 else None


def _wait(
    held: ExitStack,
    devices: list[str],
    per_device: int,
    folder: Path,
    check: Callable[[], None],
) -> str:
    """Return a device whose locks ``held`` holds from now on."""
    waiting = False
    while True:
        with _opened(folder) as descriptor:
            # First one job on each device, then a second one on each.
            for slot, device in product(range(per_device), devices):
                if _take(held, device, slot, per_device, folder, descriptor):
                    return device
        if not waiting:
            print(f"waiting for a free device ({len(devices)} in use)", flush=True)
            waiting = True
        check()
        time.sleep(POLL_SECONDS * random.uniform(0.5, 1.5))  # so that jobs do not ask in step


def _take(
    held: ExitStack, device: str, slot: int, per_device: int, folder: Path, descriptor: int
) -> bool:
    """Take one of a device's places, if it is free.

    The device's own lock keeps a job that wants it alone apart from those that share it.
    """
    name = quote(device, safe="")
    with ExitStack() as got:
        kind = fcntl.LOCK_EX if per_device == 1 else fcntl.LOCK_SH
        if not _lock(got, name, kind, folder, descriptor):
            return False
        place = f"{name}.{slot}"
        if per_device > 1 and not _lock(got, place, fcntl.LOCK_EX, folder, descriptor):
            return False
        held.push(got.pop_all())
    return True


def _lock(got: ExitStack, name: str, kind: int, folder: Path, descriptor: int) -> bool:
    """Lock a file of the open folder without waiting; ``got`` ends the lock."""
    with writing(folder / name), ExitStack() as opened:
        file = opened.enter_context(_shared_file(name, descriptor))
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # The file may have been deleted meanwhile, and another job may hold the lock of a new one.
        try:
            now = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        if not os.path.samestat(now, os.fstat(file.fileno())):
            return False
        os.utime(file.fileno())  # what tidies up temporary files goes by age
        _HELD.add(file)
        opened.callback(_HELD.discard, file)
        got.push(opened.pop_all())
    return True


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """Open the folder of the locks, which all users of the machine may write to."""
    with writing(folder):
        with _any_mode():
            # As of /tmp: everybody makes files, nobody deletes those of others.
            folder.mkdir(mode=0o1777, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _shared_file(name: str, descriptor: int) -> BinaryIO:
    """Open a file of the open folder that all users may use; make it if need be."""
    flags = os.O_RDWR | os.O_NOFOLLOW
    while True:
        # Made and opened in two steps: with fs.protected_regular, a file that somebody else owns
        # cannot be opened in a folder like /tmp by a call that might make it.
        try:
            return os.fdopen(os.open(name, flags, dir_fd=descriptor), "r+b", buffering=0)
        except FileNotFoundError:
            try:
                with _any_mode():
                    os.close(
                        os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=descriptor)
                    )
            except FileExistsError:
                continue


@contextmanager
def _any_mode() -> Iterator[None]:
    """Make files with the mode that is asked for: changed later, a kill could come before."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def _set(value: str | None) -> None:
    if value is None:
        os.environ.pop(VARIABLE, None)
    else:
        os.environ[VARIABLE] = value


def _told(device: str, devices: list[str], per_device: int) -> str:
    shared = f", shared by up to {per_device} runs" if per_device > 1 else ""
    which = f"{devices.index(device)} of {len(devices)}"
    if device.startswith(SIMULATED):
        return f"simulated device {which} (training is on what TensorFlow finds){shared}"
    return f"GPU {which} ({device}){shared}"


# A lock belongs to an open file. A forked child has that too and has to close it; a program that
# a child executes has it not, because Python opens files so that they are not handed on.
_HELD: set[BinaryIO] = set()


def _let_go() -> None:
    for file in _HELD:
        file.close()  # the parent's lock stays: its file is still open
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go)
