"""From a source to a prepared data set."""

import contextlib
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablation.data import checks
from ablation.data.checks import Finding
from ablation.data.disk import require_room
from ablation.data.files import csv_table, image_folder
from ablation.data.prepared import (
    DESCRIPTION,
    EXAMPLES,
    FORMAT,
    IMAGES,
    SPLITS,
    content_hash,
)
from ablation.data.source import Form, Source, Unreadable
from ablation.data.splits import (
    SPLIT_SEED,
    stratified_choice,
    stratified_limit,
    stratified_share,
)
from ablation.data.tfds_source import TfdsSource
from ablation.data.told import Progress
from ablation.errors import InputError
from ablation.storage import (
    alone,
    file_sha256,
    put_in_place,
    sealed,
    sync,
    sync_folder,
    writing,
)
from ablation.study.own_images import files_digest as digest_of_files
from ablation.study.schema import OWN_IMAGES

MAX_BROKEN = 10
# What a data set is written as, until it is whole.
PARTS = {name: f"part-{name}" for name in (IMAGES, EXAMPLES, DESCRIPTION)}


def open_source(settings: dict[str, Any], tfds_folder: str | None) -> Source:
    """Return the source that settings name; nothing is fetched yet.

    Raises:
        InputError: it is unknown, or is no image classification.
    """
    if settings["source"] == "image_folder":
        return image_folder(settings["path"])
    if settings["source"] == "csv":
        return csv_table(settings["path"])
    return TfdsSource(settings["source"], tfds_folder)


def prepare(
    settings: dict[str, Any],
    folder: Path,
    tfds_folder: str | None,
    *,
    files_digest: str = "",
    code: str = "",
) -> dict[str, Any]:
    """Prepare a data set: read, resize, split, check, and write it for training.

    One process at a time prepares a folder; another one waits, and prepares it anew. Data that was
    prepared before stays until the new data has been read and checked. Whenever this is ended,
    what lies there has no description and does not count, or is whole.

    Args:
        settings: as `ablation.study.grid.PreparedData` has them.
        folder: where the prepared data goes; its description is written last.
        tfds_folder: where TFDS keeps its data; downloaded there at first use.
        files_digest: of the user's own images (`ablation.study.own_images`), for the description;
            empty for other sources.
        code: fingerprint of the code of `ablation.data`, for the description.

    Returns:
        The description.

    Raises:
        InputError: the source is unknown, cannot be fetched or read, has too few images, or
            there is no room for it; or images changed while they were read.
    """
    # Beside the folder, of which Snakemake removes what a job left.
    lock = folder.parent / f".{folder.name}.lock"
    with alone(lock, f"waiting for another job that prepares {folder}"):
        return _prepare(settings, folder, tfds_folder, files_digest, code)


def _prepare(
    settings: dict[str, Any], folder: Path, tfds_folder: str | None, files_digest: str, code: str
) -> dict[str, Any]:
    source = open_source(settings, tfds_folder)
    size = settings["stored_size"] or settings["image_size"] or source.shape
    if size is None:
        raise InputError(f"'{source.name}' has images of different sizes: give image_size")
    height, width = size
    form = Form(height, width, settings["channels"] or source.channels, settings["resize"])

    examples = source.examples()
    roles = _Roles.of(examples)
    examples["split"] = examples["part"].map(roles.splits())
    examples = examples[examples["split"].notna()].reset_index(drop=True)
    # Where the test split is taken from the training images, copies among them have to be known
    # before a limit: then all are read first, and stored in a second reading.
    twice = roles.test is None and settings["limit"] is not None
    if not twice:
        examples = _limited(examples, settings["limit"])

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _remove_parts(folder)  # of a process that was killed
    temporary = folder / PARTS[IMAGES]
    notes = source.findings()
    try:
        seen = _read(source, examples, form, None if twice else temporary)
        examples = examples.assign(digest=seen.digests, row=np.arange(len(examples)))
        notes += _broken(examples, seen.broken, settings)
        examples = examples[~examples["row"].isin(list(seen.broken))].reset_index(drop=True)
        if settings["duplicates"] == "drop":
            # Before anything is set aside, which keeps copies together.
            drop = checks.copies_to_drop(examples)
            notes += checks.dropped(examples[drop])
            examples = examples[~drop].reset_index(drop=True)
        examples = _split(examples, roles, settings, source)
        examples = _shared(examples, settings["train_share"])
        validated = roles.validation is not None or settings["held_out"] > 0
        checks.refuse_empty_splits(
            examples,
            ("train", "validation", "test") if validated else ("train", "test"),
            source.name,
        )
        checks.refuse_missing_classes(examples, source.class_names, source.name)
        rows = examples["row"].tolist()
        if twice:
            _read(source, examples, form, temporary)
        else:
            _keep_rows(temporary, rows)
        description = _describe(source, examples, form, settings, temporary) | {
            "files_digest": files_digest,
            "code": code,
            "splits": _tell_splits(roles, settings),
            "conversions": _counted(seen.conversions[row] for row in rows),
            "checks": [*checks.find(examples, source.class_names), *notes],
        }
        if files_digest and digest_of_files(settings) != files_digest:
            raise InputError(
                f"{settings['path']}: images changed while they were read; run snakemake again"
            )
        return _write(folder, examples, description)
    except BaseException:
        _remove_parts(folder)
        raise


def _remove_parts(folder: Path) -> None:
    for part in PARTS.values():
        (folder / part).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Roles:
    """Which part of a source is tested and validated on; None: taken from ``train``."""

    test: str | None
    validation: str | None

    @classmethod
    def of(cls, examples: pd.DataFrame) -> "_Roles":
        parts = set(examples["part"])
        test = next((part for part in ("test", "validation") if part in parts), None)
        validation = "validation" if "validation" in parts and test != "validation" else None
        return cls(test, validation)

    def splits(self) -> dict[str, str]:
        """The split that each part becomes."""
        splits = {"train": "train", self.validation: "validation", self.test: "test"}
        return {part: split for part, split in splits.items() if part is not None}


@dataclass
class _Seen:
    """What was seen while images were read, by row.

    Attributes:
        digests: of the pixels as stored, in hex; empty for what cannot be read.
        conversions: what was done to an image.
        broken: what cannot be read, and why.
    """

    digests: list[str] = field(default_factory=list)
    conversions: list[tuple[str, ...]] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)


def _read(source: Source, examples: pd.DataFrame, form: Form, file: Path | None) -> _Seen:
    """Read the images of all examples; where a file is given, store them there, a row each."""
    shape = (len(examples), form.height, form.width, form.channels)
    if file is not None:
        require_room(
            file.parent,
            int(np.prod(shape, dtype=np.int64)),
            f"{len(examples):,} images of {form.height}×{form.width}×{form.channels}",
            "make room, choose a smaller image_size, or set a limit",
        )
    verb = "looked at" if file is None else "prepared"
    progress = Progress(f"{verb} {{done}} of {len(examples)} images", len(examples))
    seen = _Seen()
    with contextlib.nullcontext() if file is None else _writer(file, shape) as write:
        for row, image in enumerate(source.images(examples, form)):
            if isinstance(image, Unreadable):
                pixels = np.zeros(shape[1:], np.uint8)  # keeps the place; is left out later
                seen.broken[row] = image.reason
                seen.digests.append("")
                seen.conversions.append(())
            else:
                pixels = np.ascontiguousarray(image.pixels)
                seen.digests.append(hashlib.blake2b(pixels.data, digest_size=16).hexdigest())
                seen.conversions.append(image.conversions)
            if write is not None:
                write(pixels.tobytes())
            progress.tell(row + 1)
    if len(seen.digests) != len(examples):
        raise RuntimeError(f"{source.name}: {len(seen.digests)} images of {len(examples)} read")
    return seen


@contextlib.contextmanager
def _writer(file: Path, shape: tuple[int, ...]) -> Iterator[Callable[[bytes], None]]:
    """Open a file for an array, and hand out what writes one image after another to it.

    Not through a memory map: where the disk fills up, that ends the process without a word.
    """
    target = file.with_name(IMAGES)
    # Without a buffer of Python's own, so that each write tells by itself whether it went well.
    with writing(target):
        stream = file.open("wb", buffering=0)

    def write(content: bytes) -> None:
        left = memoryview(content)
        with writing(target):
            while left:
                left = left[stream.write(left) :]

    with stream:
        write(_header(shape))
        yield write


def _header(shape: tuple[int, ...]) -> bytes:
    """What an ``.npy`` file of uint8 starts with."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        content, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return content.getvalue()


def _broken(
    examples: pd.DataFrame, broken: dict[int, str], settings: dict[str, Any]
) -> list[Finding]:
    """Refuse what cannot be read, or tell that it was skipped."""
    named = [f"{examples['name'][row]}: {reason}" for row, reason in broken.items()]
    if not named:
        return []
    if settings["unreadable"] == "refuse":
        more = f"; and {len(named) - MAX_BROKEN} more" if len(named) > MAX_BROKEN else ""
        raise InputError(
            f"{settings['path']}: {checks.counted(len(named), 'image')} cannot be used: "
            f"{'; '.join(named[:MAX_BROKEN])}{more}. Mend or remove them, or leave them out with "
            "'unreadable: skip'"
        )
    for one in named:
        print(f"skipped {one}", flush=True)
    names = [examples["name"][row] for row in broken]
    text = f"{checks.counted(len(names), 'image')} skipped: not readable."
    return [checks.finding("unreadable", "warning", text, names)]


def _split(
    examples: pd.DataFrame, roles: _Roles, settings: dict[str, Any], source: Source
) -> pd.DataFrame:
    """Set test and validation examples aside where the source has none; copies stay together."""
    groups = pd.factorize(examples["digest"])[0]
    shares = {"test": settings["test_share"], "validation": settings["held_out"]}
    wanted = [
        split for split, share in shares.items() if getattr(roles, split) is None and share > 0
    ]
    examples = examples.assign(group=groups)
    for split in wanted:
        training = np.flatnonzero(examples["split"] == "train")
        try:
            chosen = stratified_choice(
                examples["label"].to_numpy()[training],
                shares[split],
                SPLIT_SEED if split == "test" else SPLIT_SEED + 1,
                groups=examples["group"].to_numpy()[training],
                names=source.class_names,
            )
        except ValueError as error:
            limit = settings["limit"]
            hint = "" if limit is None else f"; 'limit: {limit}' may leave too few of each class"
            raise InputError(f"'{source.name}': {error}{hint}") from None
        examples.loc[training[chosen], "split"] = split
        if split == "test":
            examples = _limited(examples, settings["limit"])
    return examples


def _limited(examples: pd.DataFrame, limit: int | None) -> pd.DataFrame:
    if limit is None:
        return examples
    keep = np.zeros(len(examples), dtype=bool)
    for split in SPLITS:
        members = np.flatnonzero(examples["split"] == split)
        labels = examples["label"].to_numpy()[members]
        keep[members[stratified_limit(labels, limit)]] = True
    return examples[keep].reset_index(drop=True)


def _shared(examples: pd.DataFrame, share: float) -> pd.DataFrame:
    """Keep a share of each class of the training examples."""
    training = np.flatnonzero(examples["split"] == "train")
    labels = examples["label"].to_numpy()[training]
    keep = np.ones(len(examples), dtype=bool)
    keep[training] = stratified_share(labels, share, SPLIT_SEED + 2)
    return examples[keep].reset_index(drop=True)


def _keep_rows(file: Path, rows: Sequence[int]) -> None:
    """Shorten an array on disk to some of its rows, given rising, in place."""
    images = np.load(file, mmap_mode="r", allow_pickle=False)
    count, size, start = len(images), images[:1].nbytes, images.offset
    header = _header((len(rows), *images.shape[1:]))
    del images
    if len(rows) == count:
        return
    # NumPy leaves room in the header for the first axis to change.
    if len(header) != start:
        raise RuntimeError(f"{file}: the header of the array has changed its length")
    with writing(file.with_name(IMAGES)), file.open("r+b") as stream:
        for new, old in enumerate(rows):
            if new != old:
                stream.seek(start + old * size)
                row = stream.read(size)
                stream.seek(start + new * size)
                stream.write(row)
        stream.seek(0)
        stream.write(header)
        stream.truncate(start + len(rows) * size)


def _describe(
    source: Source, examples: pd.DataFrame, form: Form, settings: dict[str, Any], file: Path
) -> dict[str, Any]:
    """Return the description's first part.

    Args:
        file: of the images.
    """
    class_names = source.class_names
    return {
        "format": FORMAT,
        "source": source.name,
        "settings": settings,
        "class_names": class_names,
        "shape": [len(examples), form.height, form.width, form.channels],
        "counts": {
            split: np.bincount(
                examples.loc[examples["split"] == split, "label"], minlength=len(class_names)
            ).tolist()
            for split in SPLITS
        },
        "citation": source.citation,
        "hash": content_hash(
            np.load(file, mmap_mode="r", allow_pickle=False), examples, class_names
        ),
    }


def _write(folder: Path, examples: pd.DataFrame, description: dict[str, Any]) -> dict[str, Any]:
    """Write the rest beside the images, then replace what was there; return the description."""
    table = examples.assign(index=np.arange(len(examples)))[["index", "split", "label", "name"]]
    part = folder / PARTS[EXAMPLES]
    with writing(folder / EXAMPLES):
        table.to_csv(part, index=False, lineterminator="\n", encoding="utf-8")
    description = sealed(description | {"examples_sha256": file_sha256(part)})
    with writing(folder / DESCRIPTION):
        text = json.dumps(description, indent=2) + "\n"
        (folder / PARTS[DESCRIPTION]).write_text(text, encoding="utf-8")
    for name, part_name in PARTS.items():
        with writing(folder / name):
            sync(folder / part_name)
    with writing(folder):  # an old description must not lie beside new images
        (folder / DESCRIPTION).unlink(missing_ok=True)
        sync_folder(folder)
    for name, part_name in PARTS.items():
        put_in_place(folder / part_name, folder / name)
    return description


def _tell_splits(roles: _Roles, settings: dict[str, Any]) -> dict[str, str]:
    kept = "" if settings["limit"] is None else f", at most {settings['limit']} examples"
    given = "the source's 'train'"
    if roles.test is None and settings["source"] in OWN_IMAGES:
        given = "the images"  # they come without splits
    taken = f"{settings['test_share']:.4g} of each class of {given}, fixed seed"
    held = f"{settings['held_out']:.4g} of each class of what is left for training, fixed seed"
    if not settings["held_out"]:
        held = "none: the test split serves for validation"
    whole = roles.test and (roles.validation or not settings["held_out"])
    train = given if whole else f"the rest of {given}"
    if settings["train_share"] < 1:
        train = f"{settings['train_share']:.4g} of each class of {train}, fixed seed"
    return {
        "train": train + kept,
        "validation": f"the source's '{roles.validation}'{kept}" if roles.validation else held,
        "test": (f"the source's '{roles.test}'" if roles.test else taken) + kept,
    }


def _counted(conversions: Any) -> dict[str, int]:
    return dict(sorted(Counter(text for texts in conversions for text in texts).items()))
