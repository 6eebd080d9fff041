"""Local images: a folder with a folder of images for each class."""

from collections.abc import Iterable
from pathlib import Path

from ablation.data.issues import DataIssue, Severity, counted, issue
from ablation.data.local_files import PART_NAMES, ImageFile, files_below, is_image, listed
from ablation.data.settings import DataSettings
from ablation.data.sources.base import Source, SourceType
from ablation.errors import InputError, visible


def open_folder(settings: DataSettings) -> Source:
    """Open a folder of images.

    Its images are ``path/CLASS/**/IMAGE``, or ``path/SPLIT/CLASS/**/IMAGE`` if all folders in
    ``path`` are named as in `PART_NAMES`. Hidden files and folders are ignored.

    Raises:
        InputError: folders of splits are mixed with others, or there are too few classes or images.
    """
    from ablation.data.image_files import ImageFiles  # noqa: PLC0415 (imports TensorFlow)

    path = str(settings.path)
    root = Path(path)
    parts = _parts(root)
    examples: list[ImageFile] = []
    outside: list[str] = []
    no_images: list[str] = []
    empty: list[str] = []
    for part, folder in parts.items():
        for class_folder in _folders(folder):
            files = files_below(class_folder)
            images = [file for file in files if is_image(file)]
            no_images += [_name(file, root) for file in files if not is_image(file)]
            if not images:
                empty.append(_name(class_folder, root))
            label = visible(class_folder.name)
            examples += [ImageFile(part, _name(file, root), label, file) for file in images]
        if not any(example.part == part for example in examples) and folder != root:
            raise InputError(f"{folder}: no images in the split {part}")
    for folder in {root, *parts.values()}:
        for file in files_below(folder, deep=False):
            (outside if is_image(file) else no_images).append(_name(file, root))
    class_names = sorted({example.class_name for example in examples})
    if len(class_names) < 2:
        where = f"{path}/CLASS" if parts == {"train": root} else f"{path}/SPLIT/CLASS"
        raise InputError(
            f"{path}: images of at least two classes are needed in {where}/…, found "
            f"{listed(class_names) or 'none'}"
        )
    return ImageFiles(
        f"image_folder {path}",
        examples,
        class_names,
        [
            *_left_out("note", no_images, "file", "not named like images"),
            *_left_out("warning", outside, "image", "not in the folder of a class"),
            *_left_out("warning", empty, "folder", "without images"),
        ],
    )


def image_files(path: Path) -> list[tuple[tuple[str, ...], Path]]:
    """Return each image file, with its path below the folder."""
    files = (file for file in files_below(path) if is_image(file))
    return [((str(file.relative_to(path)),), file) for file in files]


def _parts(root: Path) -> dict[str, Path]:
    """Return the folder of each part: the folders of splits, or the whole folder for training."""
    folders = _folders(root)
    splits = [folder for folder in folders if folder.name.casefold() in PART_NAMES]
    if not splits:
        return {"train": root}
    others = [folder.name for folder in folders if folder not in splits]
    if others:
        raise InputError(
            f"{root}: the folders {listed(f.name for f in splits)} are named like splits, "
            f"but {listed(others)} are not; either all folders are splits with a folder for each "
            "class, or none is; a class with such a name can be given by a CSV file"
        )
    parts: dict[str, Path] = {}
    for folder in splits:
        part = PART_NAMES[folder.name.casefold()]
        if part in parts:
            raise InputError(
                f"{root}: the folders '{parts[part].name}' and '{folder.name}' are both the split "
                f"{part}; keep one of them"
            )
        parts[part] = folder
    if "train" not in parts:
        raise InputError(f"{root}: the folder 'train' is missing; found {listed(parts)}")
    return parts


def _left_out(severity: Severity, names: Iterable[str], what: str, why: str) -> list[DataIssue]:
    items = sorted(names)
    text = f"{counted(len(items), what)} left out: {why}."
    return [issue("left-out", severity, text, items)] if items else []


def _folders(folder: Path) -> list[Path]:
    return sorted(
        entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )


def _name(file: Path, root: Path) -> str:
    return visible(file.relative_to(root).as_posix())


SOURCE = SourceType("image_folder", open_folder, path="folder", files=image_files)
