"""How the conclusions are drawn, in the words of the report."""

from ablation.analysis.calibration import BINS
from ablation.analysis.effects import INTERVAL, LEVEL, POWER, SEEDS_FOR_METHODS
from ablation.analysis.measures import ABOVE_CHANCE, UNEQUAL_CLASSES
from ablation.analysis.rules import (
    BALANCED_BELOW,
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
        "last one (where there are fewer than five epochs, the median is over all). Balanced "
        "accuracy is the mean of the classes' recalls, so that every class counts alike (Brodersen "
        "et al. 2010); classes without test images are left out of it. It is told where the "
        "classes of the test split are unequal: where the largest has more than "
        f"{UNEQUAL_CLASSES:g} times as many images as the smallest. Negative "
        "log-likelihood is in nats, the Brier score is the sum of the squared "
        "differences over the classes (0 to 2), and the expected calibration error is taken over "
        f"{BINS} bins of equal width, before and after temperature scaling fitted on the "
        "validation images (temperatures from 0.02 to 50); reliability diagrams pool the seeds. "
        "Clean training accuracy scores the training images without "
        "augmentation after training. During training, accuracy under mixed labels counts the "
        "class with the larger share as the right one. ± is the standard deviation over seeds.",
        "Comparisons": "Each arm is compared with the experiment's baseline, each plain network "
        "with the residual network that differs in the shortcut alone, and further as the study "
        "declares. A comparison at an epoch takes validation accuracy, all others take test "
        "accuracy. Main effects are averaged over the other factors, and over everything else but "
        "the data set; an interaction is the difference of two effects. Only seeds that have "
        "finished on both sides without diverging are compared.",
        "Intervals and tests": "Differences are paired by seed. From "
        f"{SEEDS_FOR_METHODS} seeds on, the {INTERVAL:.0%} interval is Student's t over the seeds "
        "and speaks of the arms on these test images. The p-value is the larger of two: that of "
        "the t-test over the seeds, and that of a t-test whose error holds seeds and images "
        "together, both taken as drawn at random (Clark 1973), so that arms are not told apart by "
        "which of them happens to find these test images easier. A second interval tells what the "
        "test images alone leave open for these trained networks: normal, each image's difference "
        f"averaged over the seeds. With fewer than {SEEDS_FOR_METHODS} seeds there is only that "
        "one, the p-value is that of its normal test and, for two arms, of the exact sign test "
        "over the images, whichever is larger (for one seed the sign test alone), and a verdict "
        "speaks of these trained networks only. No error is taken to be less than one image. Data "
        "sets are independent unless they come from one source. At an epoch the images are not "
        "known one by one, so arms are taken as independent there. Holm's method corrects the "
        "p-values over all comparisons of an experiment that have a result; intervals are not "
        "corrected, so one may exclude zero where the verdict is inconclusive. P(A > B) is the "
        "share of all pairs of a seed of the arm and a seed of the reference that the arm wins, "
        "ties counting half.",
        "Verdicts": "better or worse: the corrected p-value is at most "
        f"{LEVEL:.0%} shared equally between the experiments that compare something (with fewer "
        f"than {SEEDS_FOR_METHODS} seeds, the interval excludes zero and all seeds agree in sign "
        "besides). same: the interval, and that over seeds and images together, lie within "
        f"{100 * margin:g} points of zero; that is not corrected for the number of comparisons. "
        f"Arms near chance, at most {ABOVE_CHANCE:.0%} of the way from the share of the largest "
        "class to no error, are never called the same, because networks that learned nothing are "
        "equal whatever is compared. "
        "inconclusive: everything else; that is no sign of equality. So from "
        f"{SEEDS_FOR_METHODS} seeds on, at most {LEVEL:.0%} of studies in which no arm differs "
        "claim a difference among their comparisons; with fewer seeds that holds for networks "
        "that are equally accurate. Looking at a study several times while it runs is not "
        "corrected for. Verdicts are on plain accuracy, in which every image counts alike: where "
        "classes are unequal, an arm that gains on large classes can come out better although it "
        "loses on small ones, and a class with few images hardly bears on the verdict. Balanced "
        "accuracy and the effects on single classes tell of that.",
        "Claims": "A claim is something that somebody has said. The comparisons that the study "
        "names for it test it, and each of them is a part of it. A part holds if its verdict is "
        "what the claim says (for different: better or worse); it is contradicted if the verdict "
        "is another definite one: better, worse or the same (for different: the same); it is open "
        "if the verdict is inconclusive or there is no result. A claim is contradicted if any part "
        "is, holds if all parts hold, and is open otherwise; open is not refuted. Where an "
        "experiment revisits another, a claim of that one survives if it holds in the revisiting "
        "experiment, does not if it is contradicted there, and is undecided if it is open there. "
        f"Verdicts from fewer than {SEEDS_FOR_METHODS} seeds speak of the trained networks only, "
        "and so does what rests on them. Verdicts are corrected over the comparisons of an "
        "experiment, not over claims, and a verdict of the same is not corrected at all: a claim "
        "of many parts is contradicted by chance more easily than one of few.",
        "Detectable difference": "The smallest true difference that a sample of this size and "
        f"spread would call better or worse with {POWER:.0%} power at the experiment's level "
        "shared between its comparisons: both tests have to find it. It allows for the spread "
        "over seeds being estimated from few of them, and for a loss making errors more frequent "
        f"and so more variable; with fewer than {SEEDS_FOR_METHODS} seeds it is about the images "
        "alone. How many seeds would settle a comparison is told in the same way, for the "
        "difference seen or the margin, whichever is more.",
        "Classes": "The effect on each class is tested in the same way on the images of that "
        "class, for comparisons of two arms on the test split. Holm's correction goes over all "
        "classes of all of them; this family has an error probability of its own, as large as "
        "that of the comparisons.",
        "Problems": "Told are: clean training accuracy more than "
        f"{100 * OVERFITTING_GAP:.0f} points above test accuracy; a training loss that rises by "
        f"more than {LOSS_JUMP:.0%} from one epoch to the next; a validation loss that still "
        f"falls by more than {STILL_FALLING:.0%} in the last epoch; an expected calibration error "
        f"above {100 * MISCALIBRATED:.0f} points; and where classes are unequal, a balanced "
        f"accuracy more than {100 * BALANCED_BELOW:.0f} points below accuracy, and arms that the "
        "two rank differently.",
    }
    return [{"title": title, "text": text.replace("%", " %")} for title, text in texts.items()]
