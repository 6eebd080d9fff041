"""Import of TensorFlow without its notes and warnings."""

import logging
import os
import sys

VARIABLE = "TF_CPP_MIN_LOG_LEVEL"
FATAL_ONLY = "3"


def import_tensorflow() -> None:
    """Import TensorFlow without notes and warnings; its libraries print fatal errors only.

    Set the variable ``TF_CPP_MIN_LOG_LEVEL`` to 0, 1 or 2 to see them.
    """
    if os.environ.setdefault(VARIABLE, FATAL_ONLY) != FATAL_ONLY:
        import tensorflow  # noqa: PLC0415

        return
    for name in ("absl", "tensorflow"):  # TFDS calls deprecated functions of TensorFlow
        logging.getLogger(name).setLevel(logging.ERROR)
    # The variable does not apply to what the libraries print while they are loaded (2.21).
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow  # noqa: F401, PLC0415
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
