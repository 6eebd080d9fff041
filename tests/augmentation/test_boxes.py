"""Steps with boxes: what is cut out of the stored image, and what is erased."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from ablation.augmentation.geometry import TRIES
from ablation.augmentation.ops import integer
from ablation.augmentation.steps.random_erasing import noise

from .made import ALMOST_ONE, drawn, random_images, run


def coordinates(height, width):
    """An image whose two channels tell each pixel's row and column."""
    return np.stack(np.mgrid[0:height, 0:width], axis=-1).astype(np.float32)


def test_random_crop_places_are_uniform():
    images = np.tile(coordinates(9, 8), (6000, 1, 1, 1))
    result = run("random_crop", images, drawn("random_crop", 6000), (5, 6))
    np.testing.assert_array_equal(result - result[:, :1, :1], images[:, :5, :6])
    places = result[:, 0, 0].astype(int)
    counts = np.bincount(places[:, 0] * 3 + places[:, 1], minlength=15)
    assert len(counts) == 15  # 5 places down, 3 across
    assert stats.chisquare(counts).pvalue > 0.01


def resized_boxes(images, size, text="random_resized_crop"):
    """Top, left, height and width of the boxes, read from images that tell their coordinates."""
    result = run(text, images, drawn(text, len(images)), size).astype(float)
    # Bilinear is exact inside: the step between two pixels of the middle is the scale.
    rows, columns = result[:, :, size[1] // 2, 0], result[:, size[0] // 2, :, 1]
    scales = [
        line[:, len(line[0]) // 2 + 1] - line[:, len(line[0]) // 2] for line in (rows, columns)
    ]
    middles = [line[:, len(line[0]) // 2] for line in (rows, columns)]
    sides = [scale * side for scale, side in zip(scales, size, strict=True)]
    firsts = [
        middle - (side // 2 + 0.5) * scale + 0.5
        for middle, side, scale in zip(middles, size, scales, strict=True)
    ]
    return np.stack([*firsts, *sides], axis=1)


@pytest.mark.parametrize(("height", "width", "largest"), [(64, 64, 1), (48, 80, 0.8)])
def test_random_resized_crop_boxes_have_the_shares_and_ratios_asked_for(height, width, largest):
    images = np.tile(coordinates(height, width), (2000, 1, 1, 1))
    boxes = resized_boxes(images, (16, 16))
    np.testing.assert_allclose(boxes, np.rint(boxes), atol=2e-3)  # whole pixels
    top, left, tall, wide = np.rint(boxes).T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + tall <= height).all()
    assert (left + wide <= width).all()
    share, ratio = tall * wide / (height * width), wide / tall
    rounding = 1 / tall + 1 / wide  # half a pixel on each side, relative, and some
    assert (share > 0.08 * (1 - rounding)).all()
    assert 0.9 * largest < share.max() <= largest  # at 48×80 no allowed box is larger than 48×64
    assert share.min() < 0.1
    assert (ratio > 0.75 * (1 - rounding)).all()
    assert (ratio < (1 + rounding) / 0.75).all()
    assert abs(np.log(ratio[share < 0.4]).mean()) < 0.02  # as often wide as tall
    # Places are uniform over those at which the box fits.
    for first, spare in ((top, height - tall), (left, width - wide)):
        free = spare > 20
        assert stats.kstest(((first + 0.5) / (spare + 1))[free], "uniform").pvalue > 0.001


def test_random_resized_crop_shares_are_uniform_where_every_box_fits():
    text = "random_resized_crop(0.1, 0.5)"
    images = np.tile(coordinates(64, 64), (2000, 1, 1, 1))
    boxes = resized_boxes(images, (16, 16), text)
    share = boxes[:, 2] * boxes[:, 3] / 64**2
    assert stats.kstest(share, stats.uniform(0.1, 0.4).cdf).pvalue > 0.001
    ratios = np.log(boxes[:, 2] / boxes[:, 3]) / np.log(4 / 3)
    assert stats.kstest(ratios, stats.uniform(-1, 2).cdf).pvalue > 0.001


def box_draws(shares, place=(0.0, 0.0)):
    """Draws of a box: its place, the share of each try, and a square for each."""
    draws = np.full((1, 2 + 2 * TRIES), 0.5, np.float32)
    draws[0, :2] = place
    draws[0, 2 : 2 + TRIES] = shares
    return draws


def test_random_resized_crop_takes_the_first_box_that_fits():
    text = "random_resized_crop(0.01)"
    quarter, larger = (0.25 - 0.01) / 0.99, 0.9
    image = random_images(1, 20, 20, 3)
    result = run(text, image, box_draws([quarter] + [larger] * 9, (0.5, 0.999)), (10, 10))
    np.testing.assert_allclose(result, image[:, 5:15, 10:], atol=1e-6)
    image = random_images(1, 20, 40, 3)  # squares of more than half the area do not fit
    for misses in (3, 9):
        shares = [larger] * misses + [quarter] * (10 - misses)
        result = run(text, image, box_draws(shares, (0, ALMOST_ONE)), (14, 14))
        np.testing.assert_allclose(result, image[:, :14, -14:], atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "rows", "columns"),
    [
        ((12, 40), slice(0, 12), slice(12, 28)),  # 12 by 12 / 0.75
        ((40, 12), slice(12, 28), slice(0, 12)),
        ((18, 20), slice(0, 18), slice(0, 20)),  # its own aspect ratio is allowed
    ],
)
def test_random_resized_crop_takes_the_largest_about_the_centre_where_none_fits(
    shape, rows, columns
):
    image = random_images(1, *shape, 2)
    expected = image[:, rows, columns]
    draws = box_draws([ALMOST_ONE] * TRIES, (0.9, 0.1))
    result = run("random_resized_crop", image, draws, expected.shape[1:3])
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_random_resized_crop_resizes_as_the_preparation_does():
    image = random_images(1, 20, 20, 3)
    draws = box_draws([(0.25 - 0.08) / 0.92] * TRIES, (0.5, 0.0))
    result = run("random_resized_crop", image, draws, (7, 13))
    np.testing.assert_allclose(result, tf.image.resize(image[:, 5:15, :10], (7, 13)), atol=1e-6)


@pytest.mark.parametrize("fill", ["zero", "mean", "noise"])
def test_as_many_pixels_are_erased_as_the_drawn_area_says(fill):
    height, width, count = 40, 56, 600
    # No fill has these values, and no pixel has the mean.
    images = np.float32([2, 4])[np.random.default_rng(0).integers(2, size=(count, height, width))]
    images = images[..., np.newaxis]
    text = f"random_erasing(0.05, 0.6, 0.3, {fill}, 1)"
    draws = drawn(text, count)
    erased = run(text, images, draws)
    covered = (erased != images)[..., 0]
    rows, columns = covered.any(axis=2), covered.any(axis=1)
    tall, wide = rows.sum(axis=1), columns.sum(axis=1)
    np.testing.assert_array_equal(covered.sum(axis=(1, 2)), tall * wide)  # a full box
    edges = np.diff(rows.astype(int), axis=1, prepend=0, append=0)
    assert (np.abs(edges).sum(axis=1) == 2).all()  # in one piece
    areas = (0.05 + 0.55 * draws[:, 4 : 4 + TRIES]) * height * width
    aspects = 0.3 + (1 / 0.3 - 0.3) * draws[:, 4 + TRIES :]
    fits = (np.sqrt(areas * aspects) < height + 0.5) & (np.sqrt(areas / aspects) < width + 0.5)
    taken = fits.argmax(axis=1)
    assert taken.max() > 1
    wanted = areas[np.arange(count), taken]
    assert (np.abs(tall * wide - wanted) <= (tall + wide + 1) / 2).all()  # half a pixel a side
    fills = erased[..., 0][covered]
    if fill == "zero":
        assert (fills == 0).all()
    elif fill == "noise":
        assert stats.kstest(fills[:20_000], "uniform").pvalue > 0.01
    else:
        means = np.repeat(images.mean(axis=(1, 2, 3)), covered.sum(axis=(1, 2)))
        np.testing.assert_allclose(fills, means, rtol=1e-5)


def test_noise_of_some_rows_is_that_of_the_whole_image():
    images = random_images(3, 9, 7, 3)  # rows of a length that is no multiple of four
    draws, top, down = random_images(3, 2), np.int32([0, 2, 5]), np.int32([9, 4, 0])
    rows = noise(images, draws, top, down).numpy()
    for image, seed, first, count in zip(rows, integer(draws, 2**24), top, down, strict=True):
        whole = tf.random.stateless_uniform((9, 7, 3), seed, alg="philox").numpy()
        whole[:first] = whole[first + count :] = 0
        np.testing.assert_array_equal(image, whole)


def test_noise_is_an_images_own_and_the_same_again():
    images = np.full((6, 30, 30, 3), 2, np.float32)
    text = "random_erasing(0.3, 0.4, probability=1)"
    draws = drawn(text, 6)
    erased = run(text, images, draws)
    order = [3, 1, 0, 5, 4, 2]
    np.testing.assert_array_equal(run(text, images, draws[order]), erased[order])
    draws[:] = draws[0]
    draws[:3, 2] = [0.1, 0.2, 0.3]  # the noise, in the same box
    erased = run(text, images, draws)
    assert (erased[0] != erased[1]).mean() > 0.2
    np.testing.assert_array_equal(erased[0] == 2, erased[1] == 2)
    channels = erased[0][erased[0, ..., 0] != 2]
    assert np.abs(np.corrcoef(channels.T)[np.triu_indices(3, 1)]).max() < 0.2


def test_an_image_stays_as_it_is_where_no_box_fits():
    images = np.ones((1, 4, 400, 1), np.float32)
    text = "random_erasing(0.4, 0.4, 0.9, zero, 1)"  # about 25 by 25 pixels
    np.testing.assert_array_equal(run(text, images, drawn(text, 1)), images)
