"""What is known of a data set before it is prepared."""

from pathlib import Path

from ablation.data.settings import DataSettings
from ablation.data.sources import source_of
from ablation.data.sources.base import Known


def expected_shape(settings: DataSettings) -> tuple[int | None, int | None, int | None, int]:
    """Return the expected shape of prepared images: number (at most), height, width, channels.

    What is unknown is None. If the channels are unknown, three are assumed.
    """
    known = known_of(settings) or Known()
    size = settings.stored_size or settings.image_size or known.size or (None, None)
    images = known.images and images_prepared(settings, known.images, known.test)
    return images, *size, settings.channels or known.shape[2] or 3


def known_of(settings: DataSettings) -> Known | None:
    """Return what is known of a source before it is prepared; None for nothing."""
    source = source_of(settings.source)
    if source.files is not None:
        return Known(images=len(source.files(Path(str(settings.path)))))
    return source.known(settings.source)


def images_prepared(settings: DataSettings, images: int, test: int) -> int:
    """Return the approximate number of images of a source that are prepared.

    Args:
        settings: settings of the prepared data set.
        images: number of images of the source.
        test: number of these in the test split; 0 if the source has none.
    """
    training = images - (test or images * settings.test_share)
    if settings.limit is not None:
        training = min(training, settings.limit)
        images = min(images, 3 * settings.limit)  # training, validation, test
    trained = training * (1 - settings.held_out)
    return round(images - trained * (1 - settings.train_share))
