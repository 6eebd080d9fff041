import io
import os
import struct
from itertools import chain

import numpy as np
import pytest
from PIL import Image

from ablation.data.decoding import decode, read_header
from ablation.data.local_files import FORMATS
from ablation.data.sources.base import Unreadable

RANDOM = np.random.RandomState(0)
GREY = RANDOM.randint(0, 256, (6, 9)).astype(np.uint8)
COLOUR = RANDOM.randint(0, 256, (6, 9, 3)).astype(np.uint8)
LUMA = np.asarray(Image.fromarray(COLOUR).convert("L"))


def saved(folder, image, name="image.png", **options):
    file = folder / name
    image.save(file, **options)
    return file


def pixels(file, channels=3):
    read = decode(file, channels)
    assert not isinstance(read, Unreadable), read
    assert read.pixels.dtype == np.uint8
    return read.pixels


def conversions(file, channels=3):
    return decode(file, channels).conversions


def reason(file):
    read = decode(file, 3)
    assert isinstance(read, Unreadable)
    return read.reason


def test_colour_is_taken_as_it_is(tmp_path):
    file = saved(tmp_path, Image.fromarray(COLOUR))
    assert (pixels(file) == COLOUR).all()
    assert (pixels(file, 1)[..., 0] == LUMA).all()
    assert conversions(file) == ()
    assert conversions(file, 1) == ("colour turned into grey (luma of ITU-R 601)",)


def test_grey_is_taken_or_repeated(tmp_path):
    file = saved(tmp_path, Image.fromarray(GREY))
    assert (pixels(file, 1) == GREY[..., None]).all()
    assert (pixels(file, 3) == GREY[..., None]).all()
    assert pixels(file, 3).shape == (6, 9, 3)
    assert read_header(file).grey


def test_one_bit(tmp_path):
    file = saved(tmp_path, Image.fromarray(GREY > 99))
    assert (pixels(file, 1)[..., 0] == np.where(GREY > 99, 255, 0)).all()
    assert conversions(file, 1) == ("1-bit images turned into 8 bits",)


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "deep.pgm"])
def test_sixteen_bits_of_grey(tmp_path, name):
    values = RANDOM.randint(0, 65536, (6, 9)).astype(np.uint16)
    values[0, :4] = [0, 128, 129, 65535]
    file = saved(tmp_path, Image.fromarray(values), name)
    assert (pixels(file, 1)[..., 0] == np.floor(values / 257 + 0.5)).all()
    assert pixels(file, 1)[0, :4, 0].tolist() == [0, 0, 1, 255]
    assert conversions(file, 1) == ("16-bit grey divided by 257",)
    assert read_header(file).grey
    big_endian = Image.frombytes("I;16B", (3, 1), np.array([[0, 257, 65535]], ">u2").tobytes())
    assert pixels(saved(tmp_path, big_endian, "big.tif"), 1)[0, :, 0].tolist() == [0, 1, 255]


def png(width, height, depth, kind, rows):
    """A PNG file written by hand, for what Pillow does not write."""
    import zlib

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_sixteen_bits_of_colour_keep_the_upper_eight(tmp_path):
    values = np.array([[[0x12FF, 0x8000, 0xFFFF], [0x00FF, 0x0100, 0x7F01]]], ">u2")
    file = tmp_path / "deep.png"
    file.write_bytes(png(2, 1, 16, 2, [values.tobytes()]))
    assert pixels(file).tolist() == [[[0x12, 0x80, 0xFF], [0x00, 0x01, 0x7F]]]
    assert conversions(file) == ("16-bit colour cut to its upper 8 bits",)


@pytest.mark.parametrize(("mode", "channels"), [("RGBA", 3), ("LA", 1)])
def test_transparency_is_composed_over_white(tmp_path, mode, channels):
    opacity = np.linspace(0, 255, 54).round().astype(np.uint8).reshape(6, 9)
    colours = COLOUR if mode == "RGBA" else GREY[..., None]
    layers = np.concatenate([colours, opacity[..., None]], axis=2)
    file = saved(tmp_path, Image.fromarray(layers, mode))
    share = opacity[..., None] / 255
    expected = np.floor(colours * share + 255 * (1 - share) + 0.5)
    assert np.abs(pixels(file, channels) - expected).max() <= 1e-9
    assert conversions(file, channels) == ("transparency composed over white",)


def test_one_transparent_colour(tmp_path):
    grey = saved(tmp_path, Image.fromarray(GREY), "grey.png", transparency=int(GREY[2, 3]))
    assert (pixels(grey, 1)[..., 0] == np.where(GREY[2, 3] == GREY, 255, GREY)).all()
    colour = saved(
        tmp_path, Image.fromarray(COLOUR), "c.png", transparency=tuple(COLOUR[1, 1].tolist())
    )
    expected = COLOUR.copy()
    expected[1, 1] = 255
    assert (pixels(colour) == expected).all()
    bit = saved(tmp_path, Image.fromarray(GREY > 99), "bit.png", transparency=0)
    assert pixels(bit, 1).min() == 255
    deep = Image.fromarray(np.array([[257, 514]], np.uint16))
    deep = saved(tmp_path, deep, "deep.png", transparency=514)
    assert pixels(deep, 1).ravel().tolist() == [1, 255]


def test_palettes_are_expanded(tmp_path):
    image = Image.fromarray((GREY % 4).astype(np.uint8), "P")
    table = [(10, 20, 30), (200, 0, 7), (0, 255, 0), (9, 9, 9)]
    image.putpalette([value for colour in table for value in colour])
    expected = np.array(table, np.uint8)[GREY % 4]
    for name in ("palette.png", "palette.gif"):
        file = saved(tmp_path, image, name)
        assert (pixels(file) == expected).all()
        assert conversions(file) == ("palettes expanded to colour",)
        assert not read_header(file).grey
    clear = saved(tmp_path, image, "clear.png", transparency=2)
    expected[GREY % 4 == 2] = 255
    assert (pixels(clear) == expected).all()


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
def test_other_colours_become_rgb_as_pillow_does_it(tmp_path, mode):
    if mode == "LAB":
        image = Image.frombytes("LAB", (9, 6), COLOUR.tobytes())
    else:
        image = Image.fromarray(COLOUR).convert(mode)
    file = saved(tmp_path, image, "other.tif")
    with Image.open(file) as opened:
        assert opened.mode == mode
        expected = np.asarray(opened.convert("RGB"))
    assert (pixels(file) == expected).all()
    assert conversions(file) == (f"{mode} turned into RGB",)
    if mode == "CMYK":  # without a profile the conversion is exact up to rounding
        assert np.abs(pixels(file).astype(int) - COLOUR).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = saved(tmp_path, Image.fromarray(COLOUR), f"{orientation}.png", exif=exif)
    upright = {
        1: COLOUR,
        2: COLOUR[:, ::-1],
        3: COLOUR[::-1, ::-1],
        4: COLOUR[::-1],
        5: COLOUR.transpose(1, 0, 2),
        6: np.rot90(COLOUR, -1),
        7: COLOUR[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(COLOUR),
    }[orientation]
    assert (pixels(file) == upright).all()
    assert read_header(file).shape == upright.shape[:2]
    assert conversions(file) == (() if orientation == 1 else ("EXIF orientation applied",))


def test_the_first_picture_of_an_mpo(tmp_path):
    first, second = Image.new("RGB", (8, 8), (200, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 200))
    file = saved(tmp_path, first, "two.mpo", save_all=True, append_images=[second])
    assert np.abs(pixels(file).astype(int) - (200, 0, 0)).max() <= 3
    assert conversions(file) == ("first picture of several taken (MPO)",)


def test_what_is_refused_and_why(tmp_path):
    one, two = Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())
    for name in ("moving.gif", "pages.tif", "moving.png", "moving.webp"):
        file = saved(tmp_path, one, name, save_all=True, append_images=[two])
        assert "it has 2 pictures" in reason(file)
    floats = Image.fromarray(GREY.astype(np.float32))
    assert "32-bit floats" in reason(saved(tmp_path, floats, "float.tif"))
    wide = Image.fromarray(np.array([[0, 70000]], np.int32))
    assert "beyond 16 bits" in reason(saved(tmp_path, wide, "wide.tif"))
    turned = Image.Exif()
    turned[0x0112] = 6
    assert "orientation of a quarter turn" in reason(
        saved(tmp_path, one, "turned.tif", exif=turned)
    )
    turned[0x0112] = 3
    upside_down = saved(tmp_path, one, "upside-down.tif", exif=turned)
    assert (pixels(upside_down, 1)[..., 0] == GREY[::-1, ::-1]).all()
    narrow = Image.fromarray(np.array([[0, 65535]], np.int32))
    assert pixels(saved(tmp_path, narrow, "narrow.tif"), 1).ravel().tolist() == [0, 255]
    (tmp_path / "empty.png").touch()
    assert reason(tmp_path / "empty.png") == "the file is empty"
    (tmp_path / "flat.png").write_bytes(png(0, 5, 8, 0, []))
    assert reason(tmp_path / "flat.png")
    (tmp_path / "text.jpg").write_text("not an image")
    assert reason(tmp_path / "text.jpg").startswith("not an image of a supported format (JPEG, ")


def test_too_large_an_image_is_refused_by_its_header(tmp_path):
    for width in (50_001, 1_000_000):  # Pillow's own limit lies between the two
        (tmp_path / "large.png").write_bytes(png(width, 1000, 8, 0, []))
        wanted = f"it has {1000 * width:,} pixels, more than the maximum of 50,000,000"
        assert reason(tmp_path / "large.png").startswith(wanted)


@pytest.mark.parametrize("name", sorted(chain(*FORMATS.values())))
def test_every_format_is_read_under_any_name(tmp_path, name):
    form = {ending: form for form, endings in FORMATS.items() for ending in endings}[name]
    image = Image.new("RGB", (8, 6), (250, 0, 0))
    image.convert({".pbm": "1", ".pgm": "L"}.get(name, "RGB")).save(tmp_path / "image", form)
    for other in (name, ".png", ".txt"):
        file = (tmp_path / "image").rename(tmp_path / f"image{other}")
        assert read_header(file).shape == (6, 8)
        assert pixels(file).shape == (6, 8, 3)
        file.rename(tmp_path / "image")


@pytest.mark.parametrize("form", ["EPS", "ICO", "TGA", "PDF"])
def test_other_formats_are_refused_whatever_the_name(tmp_path, monkeypatch, form):
    """Ghostscript, which Pillow starts for PostScript, is not started."""
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch '{tmp_path}/started'\nexit 1\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    file = saved(tmp_path, Image.fromarray(COLOUR), format=form)
    assert read_header(file) is None
    assert reason(file).startswith("not an image of a supported format (")
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF"])
def test_half_a_file_is_not_an_image(tmp_path, form):
    whole = io.BytesIO()
    large = RANDOM.randint(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(large).save(whole, form)
    file = tmp_path / "half.img"
    file.write_bytes(whole.getvalue())
    assert pixels(file).shape == (64, 64, 3)
    file.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    assert reason(file)
