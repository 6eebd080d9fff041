"""Geometric and colour steps: right values, right distribution, each image on its own."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from .made import ALMOST_ONE, drawn, random_images, run


@pytest.mark.parametrize("channels", [1, 3])
def test_flip_mirrors_left_to_right_below_its_probability(channels):
    images = random_images(3, 4, 5, channels)
    flipped = run("flip(0.25)", images, [[0.0], [0.24], [0.25]])
    np.testing.assert_array_equal(flipped[:2], images[:2, :, ::-1])
    np.testing.assert_array_equal(flipped[2], images[2])


@pytest.mark.parametrize("probability", [0, 0.2, 0.5, 1])
def test_flip_share(probability):
    images = np.tile(np.array([0.0, 1.0], np.float32).reshape(1, 1, 2, 1), (4000, 1, 1, 1))
    text = f"flip({probability})"
    flipped = run(text, images, drawn(text, 4000))[:, 0, 0, 0].sum()
    assert stats.binomtest(int(flipped), 4000, probability).pvalue > 0.01


@pytest.mark.parametrize(("fill", "mode"), [("zero", "constant"), ("reflect", "reflect")])
@pytest.mark.parametrize("shape", [(6, 9, 3), (7, 5, 1)])
def test_crop_cuts_each_image_at_its_own_place(fill, mode, shape):
    images = random_images(4, *shape)
    padded = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)], mode=mode)
    draws = [[0, 0], [ALMOST_ONE, ALMOST_ONE], [0.5, 0.5], [0.2, 0.79]]
    cropped = run(f"crop(2, {fill})", images, draws)
    height, width, _ = shape
    for i, (top, left) in enumerate([(0, 0), (4, 4), (2, 2), (1, 3)]):
        np.testing.assert_array_equal(
            cropped[i], padded[i, top : top + height, left : left + width]
        )
    np.testing.assert_array_equal(cropped[2], images[2])


def test_crop_places_are_uniform():
    # Each pixel of the image names its own place, so the middle one tells where the crop lay.
    places = np.arange(49, dtype=np.float32).reshape(1, 7, 7, 1)
    cropped = run("crop(3)", np.tile(places, (9800, 1, 1, 1)), drawn("crop(3)", 9800))
    counts = np.bincount(cropped[:, 3, 3, 0].astype(int), minlength=49)
    assert stats.chisquare(counts).pvalue > 0.01


def test_brightness_adds_one_number_per_image_and_does_not_clamp():
    images = random_images(3, 4, 5, 3)
    brighter = run("brightness(0.2)", images, [[0.0], [0.5], [0.75]])
    shifts = np.array([-0.2, 0.0, 0.1], np.float32).reshape(3, 1, 1, 1)
    np.testing.assert_allclose(brighter, images + shifts, atol=1e-6)
    assert brighter.min() < 0


@pytest.mark.parametrize(
    ("text", "function", "amounts"),
    [
        ("contrast(0.2, 1.8)", tf.image.adjust_contrast, [0.2, 1.0, 1.4]),
        ("hue(0.2)", tf.image.adjust_hue, [-0.2, 0.0, 0.1]),
        ("saturation(0.5, 1.5)", tf.image.adjust_saturation, [0.5, 1.0, 1.25]),
    ],
)
def test_colour_is_tf_image_s_with_an_amount_per_image(text, function, amounts):
    images = random_images(3, 6, 7, 3, low=-0.2, high=1.2)  # as brightness before may leave them
    changed = run(text, images, [[0.0], [0.5], [0.75]])
    for image, amount, result in zip(images, amounts, changed, strict=True):
        np.testing.assert_allclose(result, function(image, amount), atol=2e-6)
    assert np.abs(changed[0] - images[0]).max() > 0.1


@pytest.mark.parametrize(
    ("text", "low", "high"), [("brightness(0.3)", 0.7, 1.3), ("contrast(0.2, 0.5)", 0.2, 0.5)]
)
def test_amounts_are_uniform_in_their_range(text, low, high):
    # The amount is the difference of the two pixels, or what is added to the second.
    images = np.tile(np.float32([0, 1]).reshape(1, 1, 2, 1), (4000, 1, 1, 1))
    changed = run(text, images, drawn(text, 4000))[:, 0, :, 0]
    amounts = changed[:, 1] - (changed[:, 0] if text.startswith("contrast") else 0)
    assert stats.kstest(amounts, stats.uniform(low, high - low).cdf).pvalue > 0.01


def test_clip_clamps_to_the_unit_range():
    clipped = run("clip", [[[[-0.5], [0.0], [0.3], [1.0], [1.5]]]], np.zeros((1, 0)))
    np.testing.assert_array_equal(clipped.ravel(), np.float32([0, 0, 0.3, 1, 1]))


@pytest.mark.parametrize("fill", ["zero", "reflect"])
def test_translation_by_an_eighth_of_32_pixels_is_a_crop_of_4(fill):
    images = random_images(30, 32, 32, 3)
    draws = drawn("crop(4)", 30)
    np.testing.assert_array_equal(
        run(f"translation(0.125, 0.125, {fill})", images, draws),
        run(f"crop(4, {fill})", images, draws),
    )


def test_translation_shifts_each_axis_by_its_own_share():
    images = random_images(3, 10, 20, 1)
    shifted = run("translation(0.2, 0.3)", images, [[0, 0.5], [0.5, ALMOST_ONE], [0.5, 0.5]])
    np.testing.assert_array_equal(shifted[0, 3:], images[0, :-3])  # 3 of 10 down
    np.testing.assert_array_equal(shifted[0, :3], 0)
    np.testing.assert_array_equal(shifted[1, :, :-4], images[1, :, 4:])  # 4 of 20 to the left
    np.testing.assert_array_equal(shifted[1, :, -4:], 0)
    np.testing.assert_array_equal(shifted[2], images[2])


def test_a_reflection_reaches_any_distance():
    image = np.arange(4, dtype=np.float32).reshape(1, 1, 4, 1)
    shifted = run("translation(1, 1, reflect)", image, [[0.5, 0]])  # 4 to the right
    np.testing.assert_array_equal(shifted.ravel(), [2, 3, 2, 1])


def test_translations_are_uniform():
    places = np.arange(49, dtype=np.float32).reshape(1, 7, 7, 1)
    text = "translation(0.3, 0.3)"  # 2 of 7 pixels
    shifted = run(text, np.tile(places, (5000, 1, 1, 1)), drawn(text, 5000))
    counts = np.bincount(shifted[:, 3, 3, 0].astype(int), minlength=49).reshape(7, 7)
    assert counts[1:6, 1:6].sum() == 5000
    assert stats.chisquare(counts[1:6, 1:6].ravel()).pvalue > 0.01


@pytest.mark.parametrize("fill", ["zero", "reflect"])
@pytest.mark.parametrize(("size", "channels"), [(8, 3), (9, 1)])
def test_quarter_turns_move_whole_pixels(fill, size, channels):
    images = random_images(3, size, size, channels)
    turned = run(f"rotation(90, {fill})", images, [[0.0], [0.5], [ALMOST_ONE]])
    for result, image, quarters in zip(turned, images, (-1, 0, 1), strict=True):
        np.testing.assert_allclose(result, np.rot90(image, quarters), atol=2e-5)
    np.testing.assert_allclose(
        run(f"rotation(180, {fill})", images, np.zeros((3, 1))),
        images[:, ::-1, ::-1],
        atol=2e-5,
    )


def test_rotation_is_about_the_centre_of_any_shape():
    images = np.ones((2, 5, 9, 1), np.float32)
    images[:, 2, 4] = 3
    turned = run("rotation(90)", images, [[0.25], [0.0]])
    np.testing.assert_allclose(turned[:, 2, 4], 3, atol=1e-4)
    expected = np.zeros((5, 9))
    expected[:, 2:7] = 1  # a quarter turn of 5×9 within 5×9
    expected[2, 4] = 3
    np.testing.assert_allclose(turned[1, ..., 0], expected, atol=1e-4)


def test_rotation_fills_corners_and_loses_none_of_a_disc():
    size = 41
    y, x = np.mgrid[:size, :size] - size // 2
    far = np.hypot(x, y)
    disc = np.float32(0.5 + 0.5 * np.cos(far / 5))[None, :, :, None]
    images = np.tile(disc, (50, 1, 1, 1))
    inside = far < size // 2 - 1
    for fill in ("zero", "reflect"):
        text = f"rotation(180, {fill})"
        turned = run(text, images, drawn(text, 50))
        np.testing.assert_allclose(turned[:, inside], images[:, inside], atol=0.02)
        corners = turned[:, [0, 0, -1, -1], [0, -1, 0, -1]]
        black = (corners == 0).all(axis=(1, 2)).mean()
        assert black > 0.9 if fill == "zero" else black == 0
    assert (run("rotation(180, reflect)", np.ones((50, 7, 11, 1)), drawn(text, 50)) > 0.999).all()


def test_angles_are_uniform():
    size = 65
    x = np.arange(size) - size // 2 + np.zeros((size, 1))
    ramp = np.float32(x)[None, :, :, None]
    text = "rotation(60)"
    turned = run(text, np.tile(ramp, (2000, 1, 1, 1)), drawn(text, 2000))
    middle = size // 2
    across = turned[:, middle, middle + 8, 0] / 8
    down = turned[:, middle + 8, middle, 0] / 8
    # Counter-clockwise: below the centre there comes what was to its left.
    angles = np.degrees(np.arctan2(-down, across))
    assert stats.kstest(angles, stats.uniform(-60, 120).cdf).pvalue > 0.01


def test_grey_images_keep_three_channels():
    images = random_images(20, 5, 6, 3)
    expected = images @ np.float32([0.2989, 0.587, 0.114])
    changed = run("grayscale(1)", images, np.zeros((20, 0)))
    np.testing.assert_allclose(changed, np.repeat(expected[..., None], 3, 3), atol=2e-4)
