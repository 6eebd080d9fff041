"""Reservation of a device for a training job, so that jobs of one machine do not share it.

Does not import TensorFlow, which reads ``CUDA_VISIBLE_DEVICES`` once.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import product, takewhile
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from ablation.errors import InputError
from ablation.storage import writing

VISIBLE = "CUDA_VISIBLE_DEVICES"
RUNS_PER_DEVICE = "ABLATION_RUNS_PER_DEVICE"
# Ids of jobs of Slurm, LSF and PBS. Each may number its devices from 0.
CLUSTER_JOBS = ("SLURM_JOB_ID", "LSB_JOBID", "PBS_JOBID")
SIMULATED = "ABLATION_SIMULATED_DEVICES"  # number of simulated devices, for tests
NO_DEVICE = ("", "-1", "NoDevFiles")  # the last is written by Slurm
POLL_SECONDS = 1.0
NVIDIA_SMI_SECONDS = 60  # takes about ten seconds with many idle GPUs


@contextmanager
def reserved_device(check: Callable[[], None] = lambda: None) -> Iterator[str | None]:
    """Reserve one device while the block runs; wait for one if all are in use.

    Within the block ``CUDA_VISIBLE_DEVICES`` names only that device. The kernel releases the
    device when the process ends. ``ABLATION_RUNS_PER_DEVICE`` is the number of jobs that may share
    a device, by default 1. Each device gets a first job before any gets a second. The number of a
    device is valid within a job of a cluster, its UUID everywhere.

    Args:
        check: called about once a second while waiting; an error that it raises ends the wait.

    Yields:
        The name of the device; None, without a wait, if the machine has none.

    Raises:
        InputError: ``nvidia-smi`` fails, or the folder of the locks cannot be used.
    """
    simulated = int(os.environ.get(SIMULATED, "0"))
    devices = [f"simulated-{i}" for i in range(simulated)] or available()
    if not devices:
        yield None
        return
    with ExitStack() as held:
        device = _wait(devices, held, check)
        if not simulated:
            held.callback(_set_visible, os.environ.get(VISIBLE))
            _set_visible(device)
        yield device


def available() -> list[str]:
    """Return the devices that this process may use: names for ``CUDA_VISIBLE_DEVICES``.

    The entries of ``CUDA_VISIBLE_DEVICES`` if it is set, otherwise the UUIDs of all GPUs.

    Raises:
        InputError: ``nvidia-smi`` fails.
    """
    if VISIBLE in os.environ:
        return named(os.environ[VISIBLE])
    return [uuid for (uuid,) in _listed("uuid")]


def compute_capabilities() -> list[float]:
    """Return the compute capability of each GPU of this machine; empty if none may be used.

    Raises:
        InputError: ``nvidia-smi`` fails.
    """
    return [] if hidden() else [float(number) for _, number in _listed("uuid,compute_cap")]


def hidden() -> bool:
    """Return whether ``CUDA_VISIBLE_DEVICES`` hides all GPUs."""
    return VISIBLE in os.environ and not named(os.environ[VISIBLE])


def named(value: str) -> list[str]:
    """Return the devices in a value of ``CUDA_VISIBLE_DEVICES``, each once.

    Entries after the first invalid one do not count, as in CUDA.
    """
    entries = (entry.strip() for entry in value.split(","))
    return list(dict.fromkeys(takewhile(lambda entry: entry not in NO_DEVICE, entries)))


def _listed(fields: str) -> list[list[str]]:
    """Return fields of ``nvidia-smi`` for each GPU, the first of them its UUID."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        listed = subprocess.run(
            [program, f"--query-gpu={fields}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=NVIDIA_SMI_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise _not_listed(" ".join((error.stderr + error.stdout).split())) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _not_listed(str(error)) from error
    # Without GPUs, some versions print a sentence.
    return [line.split(", ") for line in listed.stdout.splitlines() if line.startswith("GPU-")]


def _not_listed(reason: str) -> InputError:
    return InputError(
        f"nvidia-smi failed: {reason}; fix it, or set {VISIBLE} to the GPUs to use (-1 for none)"
    )


def _wait(devices: list[str], held: ExitStack, check: Callable[[], None]) -> str:
    """Wait for a free device, add its lock to ``held`` and return it."""
    folder = Path(tempfile.gettempdir()) / "ablation-devices"
    slots = range(int(os.environ.get(RUNS_PER_DEVICE, "1")))
    cluster_job = "".join(f"{os.environ[name]}-" for name in CLUSTER_JOBS if name in os.environ)
    names = {one: f"{cluster_job}{one}" if one.isdigit() else one for one in devices}
    waiting = False
    while True:
        with writing(folder):
            folder.mkdir(exist_ok=True)
            with suppress(PermissionError):  # made by another user
                folder.chmod(0o777)
            for slot, device in product(slots, devices):
                file = folder / quote(f"{names[device]}.{slot}", safe="")
                lock = FileLock(file, mode=0o666, fallback_to_soft=False)
                with suppress(Timeout):
                    held.enter_context(lock.acquire(blocking=False))
                    return device
        if not waiting:
            print(f"waiting for a free device ({len(devices)} in use)", flush=True)
            waiting = True
        check()
        time.sleep(POLL_SECONDS)


def _set_visible(value: str | None) -> None:
    if value is None:
        os.environ.pop(VISIBLE, None)
    else:
        os.environ[VISIBLE] = value
