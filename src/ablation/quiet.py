"""Import of TensorFlow and Keras, without notes, warnings and libraries that are not needed."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "TF_CPP_MIN_LOG_LEVEL"
FATAL_ONLY = "3"
# Keras imports them if it can, for functions that are not used here. That takes two seconds.
OPTIONAL = ("matplotlib", "sklearn")


def import_tensorflow() -> None:
    """Import TensorFlow and Keras without notes and warnings; they print fatal errors only.

    Set the variable ``TF_CPP_MIN_LOG_LEVEL`` to 0, 1 or 2 to see them.
    """
    quiet = os.environ.setdefault(VARIABLE, FATAL_ONLY) == FATAL_ONLY
    if quiet:
        for name in ("absl", "tensorflow"):  # TFDS calls deprecated functions of TensorFlow
            logging.getLogger(name).setLevel(logging.ERROR)
    with _without_optional(), _silence(quiet):
        import keras  # noqa: F401, PLC0415
        import tensorflow  # noqa: F401, PLC0415


@contextmanager
def _without_optional() -> Iterator[None]:
    """Make imports of the optional libraries fail while the block runs."""
    hidden = [name for name in OPTIONAL if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _silence(quiet: bool) -> Iterator[None]:
    """Discard what is written to standard error: libraries ignore the variable when they load."""
    if not quiet:
        yield
        return
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
