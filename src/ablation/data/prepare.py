"""Preparation of a data set: read, resize, split, check and write."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablation.data import issues
from ablation.data.disk import require_disk_space
from ablation.data.files_digest import files_digest as digest_of_files
from ablation.data.issues import DataIssue
from ablation.data.prepared import (
    DESCRIPTION,
    EXAMPLES,
    FORMAT,
    IMAGES,
    SPLITS,
    content_hash,
)
from ablation.data.progress import Progress
from ablation.data.settings import DataSettings
from ablation.data.sources import check_source, source_of
from ablation.data.sources.base import Form, Source, Unreadable
from ablation.data.splits import (
    SPLIT_SEED,
    stratified_choice,
    stratified_limit,
    stratified_share,
)
from ablation.errors import InputError
from ablation.storage import (
    exclusive_lock,
    file_sha256,
    put_in_place,
    sealed,
    sync_folder,
    writing,
)

MAX_NAMED = 10  # images named in a message
CHUNK = 256  # images written at once
# Temporary names of the files until all are written.
PARTS = {name: f"part-{name}" for name in (IMAGES, EXAMPLES, DESCRIPTION)}


def prepare(
    settings: DataSettings, folder: Path, *, files_digest: str = "", code: str = ""
) -> dict[str, Any]:
    """Prepare a data set for training.

    One process at a time prepares a folder; others wait. Old data stays until the new data has been
    read and checked. The description is written last: a folder without it does not count as
    prepared.

    Args:
        settings: settings of the data set.
        folder: output folder.
        files_digest: digest of local images (`ablation.data.files_digest`), for the description;
            empty for other sources.
        code: digest of the code, for the description.

    Returns:
        The description.

    Raises:
        InputError: the source is unknown, cannot be downloaded or read, has too few images, or
            needs more disk space than is free; or images changed while they were read.
    """
    # Not in the folder, because Snakemake removes the files of failed jobs.
    lock = folder.parent / f".{folder.name}.lock"
    with exclusive_lock(lock, f"waiting for another job that prepares {folder}"):
        try:
            _remove_parts(folder)  # of a process that was killed
            return _prepare(settings, folder, files_digest, code)
        finally:
            _remove_parts(folder)


def _remove_parts(folder: Path) -> None:
    for part in folder.glob("part-*"):
        part.unlink()


def _prepare(settings: DataSettings, folder: Path, files_digest: str, code: str) -> dict[str, Any]:
    check_source(settings)
    source = source_of(settings.source).open(settings)
    size = settings.stored_size or settings.image_size or source.shape
    if size is None:
        raise InputError(f"'{source.name}' has images of different sizes; give image_size")
    form = Form(*size, settings.channels or source.channels, settings.resize)

    examples = source.examples()
    roles = _Roles.of(examples)
    examples["split"] = examples["part"].map(roles.splits())
    examples = examples[examples["split"].notna()].reset_index(drop=True)
    # If the test split is taken from the training images, copies must be found before the limit
    # is applied.
    if roles.test is not None:
        examples = _limited(examples, settings.limit)

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    file = folder / PARTS[IMAGES]
    read = _read(source, examples, form, file)
    examples = examples.assign(digest=read.digests, row=np.arange(len(examples)))
    found = source.issues() + _unreadable(examples, read.unreadable, settings)
    examples = examples[~examples["row"].isin(list(read.unreadable))].reset_index(drop=True)
    if settings.duplicates == "drop":
        # Before the splits are made, which keep copies together.
        drop = issues.copies_to_drop(examples)
        found += issues.dropped(examples[drop])
        examples = examples[~drop].reset_index(drop=True)
    examples = _split(examples, roles, settings, source)
    examples = _shared(examples, settings.train_share)
    validated = roles.validation is not None or settings.held_out > 0
    issues.refuse_empty_splits(
        examples,
        ("train", "validation", "test") if validated else ("train", "test"),
        source.name,
    )
    issues.refuse_missing_classes(examples, source.class_names, source.name)
    rows = examples["row"].to_numpy()
    _keep_rows(file, rows)
    description = {
        "format": FORMAT,
        "source": source.name,
        "settings": settings.model_dump(mode="json"),
        "class_names": source.class_names,
        "shape": [len(examples), form.height, form.width, form.channels],
        "counts": {
            split: np.bincount(
                examples.loc[examples["split"] == split, "label"],
                minlength=len(source.class_names),
            ).tolist()
            for split in SPLITS
        },
        "citation": source.citation,
        "hash": content_hash(
            np.load(file, mmap_mode="r", allow_pickle=False), examples, source.class_names
        ),
        "files_digest": files_digest,
        "code": code,
        "splits": _describe_splits(roles, settings),
        "conversions": _counts(read.conversions[row] for row in rows),
        "checks": [*issues.find_issues(examples, source.class_names), *found],
    }
    if files_digest and digest_of_files(settings) != files_digest:
        raise InputError(
            f"{settings.path}: images changed while they were read; run snakemake again"
        )
    return _write(folder, examples, description)


@dataclass(frozen=True)
class _Roles:
    """The parts of a source for testing and validation; None: taken from ``train``."""

    test: str | None
    validation: str | None

    @classmethod
    def of(cls, examples: pd.DataFrame) -> "_Roles":
        parts = set(examples["part"])
        test = next((part for part in ("test", "validation") if part in parts), None)
        validation = "validation" if "validation" in parts and test != "validation" else None
        return cls(test, validation)

    def splits(self) -> dict[str, str]:
        """Return the split that each part becomes."""
        splits = {"train": "train", self.validation: "validation", self.test: "test"}
        return {part: split for part, split in splits.items() if part is not None}


@dataclass
class _Read:
    """Results of reading images.

    Attributes:
        digests: digest of the stored pixels, in hex, by row; empty for unreadable images.
        conversions: conversions of each image, by row.
        unreadable: rows of unreadable images, with the reason.
    """

    digests: list[str] = field(default_factory=list)
    conversions: list[tuple[str, ...]] = field(default_factory=list)
    unreadable: dict[int, str] = field(default_factory=dict)


def _read(source: Source, examples: pd.DataFrame, form: Form, file: Path) -> _Read:
    """Read all images and store them, one row each; zeros for unreadable ones."""
    shape = (len(examples), form.height, form.width, form.channels)
    require_disk_space(
        file.parent,
        int(np.prod(shape, dtype=np.int64)),
        f"{len(examples):,} images of {form.height}×{form.width}×{form.channels}",
        "free some, choose a smaller image_size, or set a limit",
    )
    progress = Progress(f"prepared {{done}} of {len(examples)} images", len(examples))
    read = _Read()
    chunk: list[np.ndarray] = []
    _begin_array(file, shape)
    for row, image in enumerate(source.images(examples, form)):
        if isinstance(image, Unreadable):
            chunk.append(np.zeros(shape[1:], np.uint8))
            read.unreadable[row] = image.reason
            read.digests.append("")
            read.conversions.append(())
        else:
            chunk.append(image.pixels)
            digest = hashlib.blake2b(image.pixels.tobytes(), digest_size=16)
            read.digests.append(digest.hexdigest())
            read.conversions.append(image.conversions)
        if len(chunk) == CHUNK or row == len(examples) - 1:
            _append(file, np.stack(chunk))
            chunk = []
        progress.update(row + 1)
    return read


def _begin_array(file: Path, shape: tuple[int, ...]) -> None:
    """Begin an ``.npy`` file of uint8, to which `_append` adds rows.

    Not as a memory map, which ends the process without a message if the disk is full.
    """
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with writing(file), file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)


def _append(file: Path, images: np.ndarray) -> None:
    with writing(file), file.open("ab") as stream:
        stream.write(images.tobytes())


def _keep_rows(file: Path, rows: np.ndarray) -> None:
    """Replace an array on disk by some of its rows."""
    images = np.load(file, mmap_mode="r", allow_pickle=False)
    if len(rows) == len(images):
        return
    require_disk_space(
        file.parent, len(rows) * images[:1].nbytes, f"{len(rows):,} images", "free some"
    )
    kept = file.with_name(f"{file.name}.kept")
    try:
        _begin_array(kept, (len(rows), *images.shape[1:]))
        for start in range(0, len(rows), CHUNK):
            _append(kept, images[rows[start : start + CHUNK]])
        kept.replace(file)
    finally:
        kept.unlink(missing_ok=True)


def _unreadable(
    examples: pd.DataFrame, unreadable: Mapping[int, str], settings: DataSettings
) -> list[DataIssue]:
    """Raise an error for unreadable images, or report that they were skipped."""
    if not unreadable:
        return []
    named = [f"{examples['name'][row]}: {reason}" for row, reason in unreadable.items()]
    if settings.unreadable == "refuse":
        more = f"; and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
        raise InputError(
            f"{settings.path}: {issues.counted(len(named), 'image')} cannot be read: "
            f"{'; '.join(named[:MAX_NAMED])}{more}. Repair or remove them, or leave them out with "
            "'unreadable: skip'"
        )
    for one in named:
        print(f"skipped {one}", flush=True)
    names = [examples["name"][row] for row in unreadable]
    text = f"{issues.counted(len(names), 'image')} skipped: not readable."
    return [issues.issue("unreadable", "warning", text, names)]


def _split(
    examples: pd.DataFrame, roles: _Roles, settings: DataSettings, source: Source
) -> pd.DataFrame:
    """Take test and validation examples from the training part if the source has none.

    Copies stay in the same split.
    """
    shares = {}
    if roles.test is None:
        shares["test"] = settings.test_share
    if roles.validation is None and settings.held_out > 0:
        shares["validation"] = settings.held_out
    examples = examples.assign(group=pd.factorize(examples["digest"])[0])
    for split, share in shares.items():
        training = np.flatnonzero(examples["split"] == "train")
        try:
            chosen = stratified_choice(
                examples["label"].to_numpy()[training],
                share,
                SPLIT_SEED if split == "test" else SPLIT_SEED + 1,
                groups=examples["group"].to_numpy()[training],
                names=source.class_names,
            )
        except ValueError as error:
            limit = settings.limit
            hint = "" if limit is None else f"; 'limit: {limit}' may leave too few of each class"
            raise InputError(f"'{source.name}': {error}{hint}") from None
        examples.loc[training[chosen], "split"] = split
        if split == "test":
            examples = _limited(examples, settings.limit)
    return examples


def _limited(examples: pd.DataFrame, limit: int | None) -> pd.DataFrame:
    """Keep at most ``limit`` examples of each split."""
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


def _write(folder: Path, examples: pd.DataFrame, description: dict[str, Any]) -> dict[str, Any]:
    """Write the other files, then replace the old data; return the description."""
    table = examples.assign(index=np.arange(len(examples)))[["index", "split", "label", "name"]]
    part = folder / PARTS[EXAMPLES]
    with writing(part):
        table.to_csv(part, index=False, lineterminator="\n", encoding="utf-8")
    description = sealed(description | {"examples_sha256": file_sha256(part)})
    part = folder / PARTS[DESCRIPTION]
    with writing(part):
        part.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    with writing(folder):  # an old description must not describe new images
        (folder / DESCRIPTION).unlink(missing_ok=True)
        sync_folder(folder)
    for name, part_name in PARTS.items():
        put_in_place(folder / part_name, folder / name)
    return description


def _describe_splits(roles: _Roles, settings: DataSettings) -> dict[str, str]:
    """Return how each split was made, in words."""
    kept = "" if settings.limit is None else f", at most {settings.limit} examples"
    given = "the source's 'train'"
    if roles.test is None and source_of(settings.source).path is not None:
        given = "the images"  # local images without splits
    taken = f"{settings.test_share:.4g} of each class of {given}, fixed seed"
    held = f"{settings.held_out:.4g} of each class of what is left for training, fixed seed"
    if not settings.held_out:
        held = "none: the test split serves for validation"
    whole = roles.test and (roles.validation or not settings.held_out)
    train = given if whole else f"the rest of {given}"
    if settings.train_share < 1:
        train = f"{settings.train_share:.4g} of each class of {train}, fixed seed"
    return {
        "train": train + kept,
        "validation": f"the source's '{roles.validation}'{kept}" if roles.validation else held,
        "test": (f"the source's '{roles.test}'" if roles.test else taken) + kept,
    }


def _counts(conversions: Iterable[tuple[str, ...]]) -> dict[str, int]:
    return dict(sorted(Counter(text for texts in conversions for text in texts).items()))
