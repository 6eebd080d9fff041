"""The precision that ``precision: auto`` selects. Does not import TensorFlow."""

import os
from pathlib import Path

from ablation.training.devices import compute_capabilities

VARIABLE = "ABLATION_AUTO_PRECISION"  # the answer, for the programs that this process starts
# x86 has the first two, ARM the last.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def auto_precision() -> str:
    """Return ``bfloat16`` if this machine computes it in hardware, otherwise ``float32``.

    The machine is examined once; programs that this process starts use the same answer.

    Raises:
        InputError: ``nvidia-smi`` fails.
    """
    if os.environ.get(VARIABLE) not in ("float32", "bfloat16"):
        capabilities = compute_capabilities()
        # A run may get any of the GPUs.
        fast = min(capabilities) >= 8 if capabilities else processor_has_bfloat16()
        os.environ[VARIABLE] = "bfloat16" if fast else "float32"
    return os.environ[VARIABLE]


def processor_has_bfloat16(file: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether the processor has bfloat16 instructions; False if the file is missing."""
    return file.exists() and not BFLOAT16_FLAGS.isdisjoint(file.read_text("utf-8").split())
