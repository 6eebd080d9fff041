"""What a run's folder of checkpoints holds, and what a checkpoint tells of itself."""

import json
from pathlib import Path
from typing import Any

import numpy as np

CHECKPOINT, PUT_ASIDE, FINISHED, LOCK = "checkpoint.npz", "put-aside.npz", "finished", ".lock"
LOG = "attempt.log"  # a second name of the log of the last attempt
ABOUT = "about"  # the array of what it belongs to, as JSON


def read_about(file: Path) -> Any:
    """Return what a checkpoint belongs to and how far it is, without reading its arrays.

    Raises:
        UNREADABLE: it is missing or damaged (`ablation.storage`).
    """
    with np.load(file, allow_pickle=False) as stored:
        return json.loads(stored[ABOUT].tobytes())
