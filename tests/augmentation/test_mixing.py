"""CutMix, MixUp and label smoothing: what the labels say is what the pixels show."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from ablation.augmentation.parsing import parse_pipeline
from ablation.augmentation.pipeline import Augmentation

from .made import ALMOST_ONE, drawn, mix

# Columns of a CutMix draw: whether, λ, λ of the width, centre down, centre across, partner.
SIDE, SIDE_ACROSS, DOWN, ACROSS, PARTNER = 1, 2, 3, 4, 5


def numbered(batch, height, width, channels=1):
    """Images filled with their own number, and a class of its own for each."""
    images = np.zeros((batch, height, width, channels), np.float32)
    images += np.arange(batch, dtype=np.float32).reshape(-1, 1, 1, 1)
    return images, np.eye(batch, dtype=np.float32)


def pixel_shares(mixed):
    """The share of pixels with each image's number, ``[batch, batch]``."""
    batch, height, width = mixed.shape[:3]
    counts = np.stack([np.bincount(m.astype(int).ravel(), minlength=batch) for m in mixed[..., 0]])
    return counts.astype(np.float32) / np.float32(height * width)


@pytest.mark.parametrize("box", ["square", "independent"])
@pytest.mark.parametrize("partner", ["permutation", "uniform"])
@pytest.mark.parametrize(
    ("height", "width", "channels"), [(32, 32, 3), (28, 28, 1), (17, 23, 1), (1, 5, 1)]
)
def test_label_weights_are_the_shares_of_pixels(box, partner, height, width, channels):
    text = f"cutmix(box={box}, partner={partner})"
    images, targets = numbered(64, height, width, channels)
    mixed, labels = mix(text, images, targets, drawn(text, 64))
    shares = pixel_shares(mixed)
    pasted = ~np.eye(64, dtype=bool)
    np.testing.assert_array_equal(labels[pasted], shares[pasted])
    np.testing.assert_allclose(labels, shares, atol=1e-6)  # own label: one minus the other
    np.testing.assert_array_equal(labels.sum(axis=1), np.ones(64, np.float32))
    assert (labels > 0).sum(axis=1).max() == (2 if height > 1 else 1)
    assert (mixed == mixed[..., :1]).all()


@pytest.mark.parametrize("box", ["square", "independent"])
def test_label_weights_count_the_clipped_box_at_borders_and_corners(box):
    edges = [0.0, 0.5, ALMOST_ONE]
    centres = [(down, across) for down in edges for across in edges]
    draws = np.zeros((9, 6))
    draws[:, SIDE] = draws[:, SIDE_ACROSS] = 0.75  # half of each side: 16 of 32 pixels
    draws[:, [DOWN, ACROSS]] = centres
    draws[:, PARTNER] = (np.arange(9) + 1.5) % 9 / 9  # uniform: the next image
    images, targets = numbered(9, 32, 32)
    mixed, labels = mix(f"cutmix(box={box}, partner=uniform)", images, targets, draws)
    np.testing.assert_array_equal(labels, pixel_shares(mixed))
    pasted = labels[np.arange(9), (np.arange(9) + 1) % 9] * 1024
    # Pixel 0 as centre keeps 8 of 16 rows, pixel 16 all 16, pixel 31 9 of them.
    rows = np.array([8, 16, 9])
    np.testing.assert_array_equal(pasted.reshape(3, 3), np.outer(rows, rows))


def test_the_box_lies_where_the_draws_say():
    draws = np.array([[0, 0.75, 0.9375, 0.5, 0.25, 0.75], [0] * 6])
    images, targets = numbered(2, 8, 16)
    expected = np.zeros((8, 16))
    expected[2:6, 0:8] = 1  # 4 rows about row 4, 8 columns about column 4
    mixed, _ = mix("cutmix(partner=uniform)", images, targets, draws)
    np.testing.assert_array_equal(mixed[0, ..., 0], expected)
    expected[:, [0, 1, 6, 7]] = 0  # the other λ: 4 columns
    mixed, _ = mix("cutmix(box=independent, partner=uniform)", images, targets, draws)
    np.testing.assert_array_equal(mixed[0, ..., 0], expected)


def expected_share(size, box):
    """Mean share of a clipped box for uniform λ, summed over λ and all centre pixels."""
    half = (size * np.sqrt(1 - (np.arange(4000) + 0.5) / 4000)).astype(int) // 2
    centre = np.arange(size)[:, None]
    length = (np.minimum(centre + half, size) - np.maximum(centre - half, 0)).mean(axis=0) / size
    return (length**2).mean() if box == "square" else length.mean() ** 2


@pytest.mark.slow
@pytest.mark.parametrize("box", ["square", "independent"])
@pytest.mark.parametrize(("size", "examples"), [(32, 6000), (224, 600)])
def test_mean_share_pasted(size, examples, box):
    text = f"cutmix(box={box}, partner=uniform)"
    draws = drawn(text, examples)
    draws[:, PARTNER] = ALMOST_ONE  # the last image of a batch, which alone is of class 1
    shares = []
    for start in range(0, examples, 300):
        targets = np.repeat(np.float32([[1, 0], [0, 1]]), [299, 1], axis=0)
        images = np.zeros((300, size, size, 1), np.float32)
        images[-1] = 1
        mixed, labels = mix(text, images, targets, draws[start : start + 300])
        np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)), labels[:, 1], atol=1e-6)
        shares.append(labels[:-1, 1])
    shares = np.concatenate(shares)
    error = shares.std() / np.sqrt(len(shares))
    assert abs(shares.mean() - expected_share(size, box)) < 3 * error
    if box == "square":
        published = {32: 0.30, 224: 0.32}[size]
        assert expected_share(size, box) == pytest.approx(published, abs=0.005)


@pytest.mark.parametrize("step", ["cutmix", "mixup"])
@pytest.mark.parametrize("partner", ["permutation", "uniform"])
def test_partners_are_a_permutation_or_drawn_with_replacement(step, partner):
    text = f"{step}(alpha=1, partner={partner})"
    draws = drawn(text, 2000)
    # All of the image is replaced: λ 0, and the box about the middle.
    draws[:, 1 : (5 if step == "cutmix" else 2)] = 0
    if step == "cutmix":
        draws[:, [DOWN, ACROSS]] = 0.5
    images, targets = numbered(10, 2, 2)
    seen, repeated = np.zeros((10, 10)), 0
    for start in range(0, 2000, 10):
        mixed, labels = mix(text, images, targets, draws[start : start + 10])
        partners = mixed[:, 0, 0, 0].astype(int)
        np.testing.assert_array_equal(labels, np.eye(10)[partners])
        seen[np.arange(10), partners] += 1
        repeated += len(set(partners)) < 10
    assert repeated > 190 if partner == "uniform" else repeated == 0
    # Every partner is equally likely, itself included; of permutations 9×9 cells are free.
    fixed = 9 if partner == "uniform" else 18
    assert stats.chisquare(seen.ravel(), ddof=fixed).pvalue > 0.01


@pytest.mark.parametrize("partner", ["permutation", "uniform"])
def test_mixup_weighs_images_and_labels_alike(partner):
    text = f"mixup(alpha=1, partner={partner})"
    rng = np.random.default_rng(0)
    images, targets = rng.random((16, 5, 4, 3), np.float32), np.eye(16, dtype=np.float32)
    mixed, labels = mix(text, images, targets, drawn(text, 16))
    np.testing.assert_allclose(mixed, np.tensordot(labels, images, 1), atol=1e-6)
    np.testing.assert_array_equal(labels.sum(axis=1), np.ones(16, np.float32))
    assert (labels > 0).sum(axis=1).max() == 2
    assert len(np.unique(labels.diagonal())) > 10  # a weight of its own for each


def test_mixup_weights_of_labels_follow_their_beta_distribution():
    text = "mixup(alpha=0.2, partner=uniform)"
    draws = drawn(text, 4000)
    draws[:, 2] = 0  # everyone's partner is image 0, alone in class 1
    targets = np.repeat(np.float32([[0, 1], [1, 0]]), [1, 3999], axis=0)
    _, labels = mix(text, np.zeros((4000, 1, 1, 1), np.float32), targets, draws)
    assert stats.kstest(labels[1:, 0], stats.beta(0.2, 0.2).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("text", "alphas"),
    [
        ("cutmix", {}),
        ("cutmix(alpha=0.3)", {SIDE: 0.3, SIDE_ACROSS: 0.3}),
        ("mixup(alpha=4)", {1: 4}),
        ("cutmix_or_mixup(cutmix_alpha=0.3, mixup_alpha=4)", {2: 0.3, 3: 0.3, 8: 4}),
    ],
)
def test_weights_follow_their_beta_distribution_and_other_draws_stay_uniform(text, alphas):
    for number, column in enumerate(drawn(text, 4000).T):
        alpha = alphas.get(number, 1)
        assert stats.kstest(column, stats.beta(alpha, alpha).cdf).pvalue > 0.01


@pytest.mark.parametrize("step", ["cutmix", "mixup"])
def test_probability_leaves_the_rest_untouched(step):
    text = f"{step}(alpha=1, probability=0.3, partner=uniform)"
    draws = drawn(text, 2000)
    images, _ = numbered(2000, 4, 4)
    targets = np.float32(np.arange(2000)[:, None] % 2 == [0, 1])
    mixed, labels = mix(text, images, targets, draws)
    untouched = draws[:, 0] >= np.float32(0.3)
    np.testing.assert_array_equal(mixed[untouched], images[untouched])
    np.testing.assert_array_equal(labels[untouched], targets[untouched])
    assert stats.binomtest(int(untouched.sum()), 2000, 0.7).pvalue > 0.01
    assert (mixed != images)[~untouched].any(axis=(1, 2, 3)).mean() > 0.5


def test_first_pair_gives_one_image_and_one_label_for_the_whole_batch():
    images, targets = numbered(4, 2, 2)
    images += 5
    draws = np.float32([[0, 0.75, 0.9]] + [[0.9, 0.1, 0.1]] * 3)
    mixed, labels = mix("mixup(alpha=1, partner=first_pair)", images, targets, draws)
    np.testing.assert_array_equal(mixed, np.full((4, 2, 2, 1), 5.25))
    np.testing.assert_array_equal(labels, np.tile(np.float32([0.75, 0.25, 0, 0]), (4, 1)))
    text = "mixup(alpha=1, probability=0.5, partner=first_pair)"
    for first, others in ((0.5, 0.1), (0.1, 0.9)):  # row 0 decides for all
        draws[:, 0] = [first, others, others, others]
        mixed, labels = mix(text, images, targets, draws)
        unmixed = first >= 0.5
        np.testing.assert_array_equal(mixed, images if unmixed else np.full_like(images, 5.25))
        np.testing.assert_array_equal((labels == targets).all(), unmixed)


@pytest.mark.parametrize(
    "text", ["cutmix", "cutmix(partner=uniform)", "mixup", "mixup(partner=first_pair)"]
)
def test_an_image_alone_stays_itself(text):
    rng = np.random.default_rng(0)
    image, target = rng.random((1, 6, 7, 3), np.float32), np.float32([[0, 1, 0]])
    mixed, label = mix(text, image, target, drawn(text, 1))
    np.testing.assert_allclose(mixed, image, atol=1e-6)
    np.testing.assert_array_equal(label, target)


def test_one_draw_of_the_first_row_chooses_for_the_whole_batch():
    rng = np.random.default_rng(0)
    images, targets = rng.random((16, 9, 8, 3), np.float32), np.eye(16, dtype=np.float32)
    text = "cutmix_or_mixup(0.3, cutmix_alpha=0.5, mixup_alpha=1, probability=0.8)"
    draws = drawn(text, 16)
    for choice, alone, columns in (
        (0.29, "cutmix(alpha=0.5, probability=0.8)", slice(1, 7)),
        (0.3, "mixup(alpha=1, probability=0.8)", slice(7, 10)),
    ):
        draws[:, 0] = 1 - choice  # of all rows but the first: the other way
        draws[0, 0] = choice
        expected = mix(alone, images, targets, draws[:, columns])
        for result, wanted in zip(mix(text, images, targets, draws), expected, strict=True):
            np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_about_the_share_of_batches_gets_cutmix(share):
    text = f"cutmix_or_mixup({share}, mixup_alpha=1, partner=uniform)"
    images, targets = numbered(6, 12, 12)
    augmentation = tf.function(Augmentation(parse_pipeline(text)))
    cut = 0
    for batch in drawn(text, 6 * 300).reshape(300, 6, -1):
        mixed, labels = (x.numpy() for x in augmentation(images, targets, batch))
        several = np.ptp(mixed, axis=(1, 2, 3)) > 0
        whole = (mixed == np.rint(mixed)).all(axis=(1, 2, 3))
        assert whole.all() or not several.any()  # never both in one batch
        if several.any():
            np.testing.assert_allclose(labels, pixel_shares(mixed), atol=1e-6)
        cut += several.any()
    assert stats.binomtest(int(cut), 300, share).pvalue > 0.01


def test_label_smoothing_gives_all_classes_their_share():
    images = np.random.default_rng(0).random((3, 2, 2, 1), np.float32)
    targets = np.float32([[1, 0, 0, 0], [0, 0, 0, 1], [0.5, 0.5, 0, 0]])
    same, labels = mix("label_smoothing", images, targets, np.zeros((3, 0)))
    np.testing.assert_array_equal(same, images)
    expected = [
        [0.925, 0.025, 0.025, 0.025],
        [0.025, 0.025, 0.025, 0.925],
        [0.475, 0.475, 0.025, 0.025],
    ]
    np.testing.assert_allclose(labels, expected, atol=1e-6)


def test_smoothing_and_mixing_of_labels_commute():
    images, targets = numbered(8, 9, 9)
    before, after = "label_smoothing(0.2) | cutmix", "cutmix | label_smoothing(0.2)"
    draws = drawn(before, 8)
    np.testing.assert_allclose(
        mix(before, images, targets, draws)[1], mix(after, images, targets, draws)[1], atol=1e-6
    )
