"""Names of the processor and of the GPUs. Does not import TensorFlow."""

import platform
from pathlib import Path


def processor_name(file: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the processor."""
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def gpu_names(folder: Path = Path("/proc/driver/nvidia/gpus")) -> tuple[str, ...]:
    """Return the names of NVIDIA GPUs as the driver reports them, each once, sorted."""
    lines = [line for file in folder.glob("*/information") for line in file.read_text().split("\n")]
    return tuple(
        sorted({line.partition(":")[2].strip() for line in lines if line.startswith("Model:")})
    )
