"""Libraries that are imported when they are first used.

A study is resolved without TensorFlow, whose import takes seconds. The files of steps, families and
sources contain both their settings and their TensorFlow code.
"""

from importlib import import_module
from typing import Any


class LazyModule:
    """Placeholder for a module that is imported when an attribute is first used.

    Args:
        name: the module's full name.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """Return an attribute of the module."""
        return getattr(import_module(self._name), attribute)


tf: Any = LazyModule("tensorflow")
keras: Any = LazyModule("keras")
pd: Any = LazyModule("pandas")
tfds: Any = LazyModule("tensorflow_datasets")
