"""How the conclusions are drawn, in the words of the report."""

from ablation.analysis.calibration import BINS
from ablation.analysis.effects import INTERVAL, LEVEL, POWER, SEEDS_FOR_METHODS
from ablation.analysis.rules import (
    LOSS_JUMP,
    MISCALIBRATED,
    OVERFITTING_GAP,
    STILL_FALLING,
)


def method(margin: float) -> list[dict[str, str]]:
    """Return the paragraphs of the method, each with ``title`` and ``text``.

    Args:
        margin: of the study, as a share.
    """
    texts = {
        "Measures": "The headline is test accuracy after the last epoch: the share of test images "
        "classified rightly. Unless an experiment says that it restores the best epoch, no epoch "
        "is chosen by its score; the best epoch and the median of the last five stand beside the "
        "last one. Negative log-likelihood is in nats, the Brier score is the sum of the squared "
        "differences over the classes (0 to 2), and the expected calibration error is taken over "
        f"{BINS} bins of equal width, before and after temperature scaling fitted on the "
        "validation images. Clean training accuracy scores the training images without "
        "augmentation after training. During training, accuracy under mixed labels counts the "
        "class with the larger share as the right one. ± is the standard deviation over seeds.",
        "Comparisons": "Each arm is compared with the experiment's baseline, each plain network "
        "with the residual network that differs in the shortcut alone, and further as the study "
        "declares. A comparison of budgets at an epoch takes validation accuracy, all others take "
        "test accuracy. Main effects are averaged over the other factors, and over everything "
        "else but the data set; an interaction is the difference of two effects.",
        "Intervals and tests": "Differences are paired by seed. From "
        f"{SEEDS_FOR_METHODS} seeds on, the {INTERVAL:.0%} interval is Student's t over the seeds "
        "and speaks of the arms. The p-value is the larger of two: that of the t-test over the "
        "seeds, and that of a t-test whose error holds seeds and images together, both taken as "
        "drawn at random (Clark 1973), so that arms are not told apart by which of them happens "
        "to find these test images easier. A second interval tells what the test images "
        "alone leave open for these trained networks: normal, each image's difference averaged "
        f"over the seeds. With fewer than {SEEDS_FOR_METHODS} seeds there is only that one, the "
        "p-value is that of the exact sign test over the images, and a verdict speaks of these "
        "trained networks only. Holm's method corrects the p-values over all comparisons of an "
        "experiment. P(A > B) is the probability that a network of the arm beats one of the "
        "reference at seeds drawn independently.",
        "Verdicts": "better or worse: the corrected p-value is at most "
        f"{LEVEL:.0%} shared equally between the experiments that compare something "
        f"(with fewer than {SEEDS_FOR_METHODS} seeds, the interval excludes zero and all seeds "
        "agree in sign besides). same: both intervals lie within "
        f"{100 * margin:g} points of zero. inconclusive: everything else; that is no sign of "
        "equality. So at most "
        f"{LEVEL:.0%} of studies in which no arm differs claim a difference anywhere.",
        "Detectable difference": "The smallest true difference that a sample of this size and "
        f"spread would call better or worse with {POWER:.0%} power, after correction, allowing "
        "for the spread being itself estimated from few seeds.",
        "Classes": "The effect on each class is tested in the same way on the images of that "
        "class, Holm's correction going over all classes of all comparisons of the experiment.",
        "Problems": "Told are: clean training accuracy more than "
        f"{100 * OVERFITTING_GAP:.0f} points above test accuracy; a training loss that rises by "
        f"more than {LOSS_JUMP:.0%} from one epoch to the next; a validation loss that still "
        f"falls by more than {STILL_FALLING:.0%} in the last epoch; an expected calibration error "
        f"above {100 * MISCALIBRATED:.0f} points.",
    }
    return [{"title": title, "text": text.replace("%", " %")} for title, text in texts.items()]
