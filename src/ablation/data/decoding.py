"""Decoding of one image file.

==============================  ===================================================================
content of the file             what is done
==============================  ===================================================================
EXIF orientation                applied; a TIFF that it turns by a quarter is refused
grey, 8 bits                    unchanged
1 bit                           0 and 255
grey, 16 bits                   divided by 257 and rounded: 65535 becomes 255
colour, 16 bits a channel       as Pillow reads it: the upper 8 bits
palette                         expanded to colour
transparency                    composed over white
CMYK, YCbCr, LAB, HSV           turned into RGB by Pillow; colour profiles are not used
several pictures in an MPO      the first is used
animation, several pages        refused
32-bit float                    refused
32-bit integer                  as 16 bits, refused if a value is beyond 65535
more than 50,000,000 pixels     refused
==============================  ===================================================================
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from ablation.data.local_files import FORMATS
from ablation.data.sources.base import Image, Unreadable

MAX_PIXELS = 50_000_000  # up to 26 bytes of memory each, in every thread that decodes
Pillow.MAX_IMAGE_PIXELS = None  # MAX_PIXELS applies instead
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
_ORIENTATION = 0x0112
_QUARTER_TURNS = (5, 6, 7, 8)


class _UnreadableError(Exception):
    """The reason why an image cannot be read."""


@dataclass(frozen=True)
class Header:
    """Properties of an image from the header of its file.

    Attributes:
        shape: height and width after EXIF orientation.
        grey: whether it has one channel, not counting transparency.
    """

    shape: tuple[int, int]
    grey: bool


def read_header(file: Path) -> Header | None:
    """Return the header of an image file; None if it cannot be read."""
    try:
        with _opened(file) as image:
            height, width = image.height, image.width
            if _orientation(image) in _QUARTER_TURNS:
                height, width = width, height
            return Header((height, width), image.mode in GREY_MODES)
    except _UnreadableError:
        return None


def decode(file: Path, channels: int) -> Image | Unreadable:
    """Read one image file.

    Args:
        file: the file.
        channels: 1 or 3.

    Returns:
        The image, uint8 [height, width, channels], with its conversions, or why it cannot be read.
    """
    try:
        with _opened(file) as image:
            return _pixels(image, channels)
    except _UnreadableError as error:
        return Unreadable(str(error))


@contextmanager
def _opened(file: Path) -> Iterator[Pillow.Image]:
    """Open an image; raise `_UnreadableError` for any error."""
    try:
        if not file.stat().st_size:
            raise _UnreadableError("the file is empty")
        # Without formats=, Pillow would pass PostScript to Ghostscript.
        with Pillow.open(file, formats=tuple(FORMATS)) as image:
            _refuse(image)
            yield image
    except (_UnreadableError, MemoryError):
        raise
    except UnidentifiedImageError:
        formats = ", ".join(FORMATS)
        raise _UnreadableError(f"not an image of a supported format ({formats})") from None
    except Exception as error:  # decoders raise errors of any type
        reason = str(error).replace(str(file), file.name) or type(error).__name__
        raise _UnreadableError(reason) from error


def _refuse(image: Pillow.Image) -> None:
    if not image.width or not image.height:
        raise _UnreadableError("it has no pixels")
    if image.width * image.height > MAX_PIXELS:
        raise _UnreadableError(
            f"it has {image.width * image.height:,} pixels, more than the maximum of "
            f"{MAX_PIXELS:,}; scale it down"
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise _UnreadableError(f"it has {frames} pictures (an animation or several pages)")
    if image.format == "TIFF" and _orientation(image) in _QUARTER_TURNS:
        # Pillow 13.0 confuses height and width of such a file before decoding.
        raise _UnreadableError("it is a TIFF with an orientation of a quarter turn")
    if image.mode == "F":
        raise _UnreadableError("its pixels are 32-bit floats")


def _pixels(image: Pillow.Image, channels: int) -> Image:
    done = _conversions(image)
    image.load()
    if image.format != "TIFF":  # Pillow turns a TIFF while loading
        ImageOps.exif_transpose(image, in_place=True)
    mode, clear = image.mode, image.has_transparency_data
    if clear:
        done.append("transparency composed over white")
    if mode.startswith("I"):
        done.append("16-bit grey divided by 257")
        pixels = _from_16_bits(image)
    elif mode in GREY_MODES:
        pixels = _over_white(image.convert("LA")) if clear else np.asarray(image.convert("L"))
    else:
        pixels = _over_white(image.convert("RGBA")) if clear else np.asarray(image.convert("RGB"))
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    if pixels.shape[2] < channels:
        pixels = np.repeat(pixels, channels, axis=2)
        done.append("grey repeated as three channels")
    elif pixels.shape[2] > channels:
        pixels = np.asarray(Pillow.fromarray(pixels).convert("L"))[:, :, np.newaxis]
        done.append("colour turned into grey (luma of ITU-R 601)")
    return Image(pixels, tuple(done))


def _orientation(image: Pillow.Image) -> int:
    """Return the EXIF orientation of an image that is not loaded, from 1 (none) to 8."""
    orientation = image.getexif().get(_ORIENTATION, 1)
    return int(orientation) if orientation in range(2, 9) else 1


def _conversions(image: Pillow.Image) -> list[str]:
    """Return the conversions that follow from the header."""
    done = []
    if image.mode == "1":
        done.append("1-bit images turned into 8 bits")
    if image.mode in ("P", "PA"):
        done.append("palettes expanded to colour")
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        done.append(f"{image.mode} turned into RGB")
    if getattr(image, "n_frames", 1) > 1:
        done.append("first picture of several taken (MPO)")
    tiles = getattr(image, "tile", [])  # their arguments name the pixel format of the file
    if image.mode in ("RGB", "RGBA") and any("16" in str(tile.args) for tile in tiles):
        done.append("16-bit colour cut to its upper 8 bits")
    if _orientation(image) != 1:
        done.append("EXIF orientation applied")
    return done


def _over_white(image: Pillow.Image) -> np.ndarray:
    """Compose an image of mode LA or RGBA over white: uint8 [h, w] or [h, w, 3]."""
    values = np.asarray(image).astype(np.uint16)  # large enough for 255 · 255 + 127
    opacity = values[:, :, -1:]
    mixed = values[:, :, :-1] * opacity
    mixed += 255 * (255 - opacity) + 127
    mixed //= 255
    return mixed.astype(np.uint8).squeeze(axis=2) if image.mode == "LA" else mixed.astype(np.uint8)


def _from_16_bits(image: Pillow.Image) -> np.ndarray:
    """Scale integers from 0 to 65535 to 8 bits; the transparent value becomes white."""
    values = np.asarray(image).astype(np.int32)
    if np.any(values < 0) or np.any(values > 65535):
        raise _UnreadableError("its pixels are 32-bit integers beyond 16 bits")
    scaled = ((values + 128) // 257).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        scaled[values == transparent] = 255
    return scaled
