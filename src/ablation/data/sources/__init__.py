"""The sources of images. Each is one file in this package; adding a source is adding a file.

A file defines ``SOURCE``, a `SourceType`. No file imports TensorFlow, pandas or Pillow before a
source is opened. A name that no file defines is that of a data set of TensorFlow Datasets (`tfds`).
"""

from importlib import import_module
from pkgutil import iter_modules

from ablation.data.settings import DataSettings
from ablation.data.sources.base import SourceType
from ablation.errors import InputError


def _found() -> dict[str, SourceType]:
    modules = (name for _, name, _ in iter_modules(__path__) if name != "base")
    found = [import_module(f"{__name__}.{name}").SOURCE for name in sorted(modules)]
    return {source.name: source for source in found}


SOURCES = _found()
"""All sources by name."""


def source_name(source: str) -> str:
    """Return the name in ``name[/config][:version]``."""
    return source.partition(":")[0].partition("/")[0]


def source_of(source: str) -> SourceType:
    """Return the source of ``name[/config][:version]``."""
    return SOURCES.get(source_name(source), SOURCES["tfds"])


def check_source(settings: DataSettings, data_dir: str | None = None) -> None:
    """Check that the source exists and that the settings fit it.

    It is not checked whether the path exists.

    Args:
        settings: the settings.
        data_dir: data folder of TensorFlow Datasets; None for its default.

    Raises:
        InputError: ``source`` or ``path`` is wrong.
    """
    source = source_of(settings.source)
    source.check(settings, data_dir)
    if source.path is not None and settings.path is None:
        raise InputError(f"source {source.name} needs the key 'path'")
    if source.path is None and settings.path is not None:
        names = " or ".join(sorted(name for name, one in SOURCES.items() if one.path))
        raise InputError(f"'path' is allowed with source {names} only; leave it out")
