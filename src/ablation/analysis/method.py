"""How the conclusions are drawn, in the words of the report."""

from ablation.analysis.calibration import BINS
from ablation.analysis.effects import INTERVAL
from ablation.analysis.looks import RESERVED
from ablation.analysis.measures import ABOVE_CHANCE, UNEQUAL_CLASSES
from ablation.analysis.power import POWER
from ablation.analysis.rules import (
    BALANCED_BELOW,
    LOSS_JUMP,
    MISCALIBRATED,
    OVERFITTING_GAP,
    STILL_FALLING,
)
from ablation.analysis.testing import LEVEL, PAIRED_LEVEL, SEEDS_FOR_VERDICTS


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
        "Intervals and tests": f"From {SEEDS_FOR_VERDICTS} seeds on, two tests have to find a "
        "difference. The first is over the seeds: its variance is estimated from all cells of the "
        "experiment on the data set, and a cell that varies more than the others keeps its own. A "
        "main effect or an interaction takes the variances of its cells by themselves, but at "
        "least the mean square of its family, as in an analysis of variance with repeated "
        "measures. For two cells, half of the level is left to a paired t-test where variances "
        "differ or the seed has an effect (with three or four seeds always a tenth). With fewer "
        "than three cells, and across experiments or data sets, the variance is that of the "
        "paired differences. The error of the second test holds seeds and images together, both "
        "taken as drawn at random (Clark 1973), so that arms are not told apart by which of them "
        "happens to find these test images easier. "
        "Degrees of freedom are Satterthwaite's (1946). Holm's method corrects the larger of the "
        "two p-values over all comparisons of an experiment that have a result, of which its steps "
        "count at least two thirds. A paired t-test "
        f"over the seeds has to agree at {PAIRED_LEVEL:.0%} by itself, because a cell's variance "
        "can be mistaken for that of the others. The interval is that of the deciding test at the "
        "deciding level, for new seeds and new test images alike: it excludes zero where a "
        "difference is claimed. A second interval tells what the test images alone leave open for "
        f"these trained networks: {INTERVAL:.0%}, normal, each image's difference averaged over "
        "the seeds. No error is taken to be less than one image. Data sets are independent unless "
        "they come from one source. At an epoch the images are not known one by one, so arms are "
        "taken as independent there. P(A > B) is the share of all pairs of a seed of the arm and a "
        "seed of the reference that the arm wins, ties counting half.",
        "Verdicts": f"better or worse: the corrected p-value is at most {LEVEL:.0%}. It is "
        "corrected for the other comparisons of the experiment, for the other experiments that "
        "compare something, which share the level equally, and for earlier looks. same: the "
        f"interval lies within {100 * margin:g} points of zero. Arms near chance, at most "
        f"{ABOVE_CHANCE:.0%} of the way from the share of the largest class to no error, are never "
        "called the same, because networks that learned nothing are equal whatever is compared; "
        "nor are arms of which runs diverged, or fell far below the others. "
        f"open: everything else, and everything with fewer than {SEEDS_FOR_VERDICTS} seeds; that "
        f"is no sign of equality. So at most {LEVEL:.0%} of studies in which no arm differs claim "
        "a difference among their comparisons. Beside a verdict of the same stands which rate of "
        f"failing runs as many sound seeds exclude at {LEVEL:.0%}: an arm that fails rarely passes "
        "for the same until a failure is seen. Verdicts are on plain accuracy, in which every "
        "image counts alike: where classes are unequal, an arm that gains on large classes can "
        "come out better although it loses on small ones, and a class with few images hardly bears "
        "on the verdict. Balanced accuracy and the effects on single classes tell of that.",
        "Looks": "A look is an analysis of seeds that were not all there before; looks.csv records "
        "them. All looks together keep to the level of the experiment (alpha spending, Lan & "
        "DeMets 1983). Where the study declares the final number of seeds, a look spends the share "
        "of it to the power of three, and the look at all of them, if it is the only one, the "
        f"whole level. Otherwise the first look spends {1 - RESERVED:.0%}, and each further look "
        "half of what is left; of either, a look while runs are missing spends the share of the "
        f"runs that are there to the power of three. Fewer than {SEEDS_FOR_VERDICTS} seeds give no "
        "verdict and spend nothing. Once all is spent, only a study of its own with new seeds can "
        "claim more.",
        "Claims": "A claim is something that somebody has said. The comparisons that the study "
        "names for it test it, and each of them is a part of it. A part holds if its verdict is "
        "what the claim says (for different: better or worse). It is contradicted if the verdict "
        "is better or worse and the claim says otherwise. It is not by more than the margin if the "
        "claim says that there is a difference and the verdict is the same. It is open if the "
        "verdict is open or there is no result. A claim is contradicted if any part is; otherwise "
        "not by more than the margin if any part is; otherwise open if any part is; it holds if "
        "all parts hold. Open is not refuted. Where an experiment revisits another, a claim of "
        "that one survives if it holds in the revisiting experiment, does not if it is "
        "contradicted there, and is undecided if it is open there. Verdicts are corrected over the "
        "comparisons of an experiment, not over claims: a claim of many parts is contradicted by "
        "chance more easily than one of few.",
        "Detectable difference": "The smallest true difference that other such runs call better or "
        f"worse with {POWER:.0%} power at the level that the experiment leaves to each of its "
        "comparisons. It rests on a spread over seeds that is pooled over the cells; its interval "
        f"({INTERVAL:.0%}) comes from that spread being an estimate. How many seeds would settle a "
        "comparison is told in the same way, for the difference seen or the margin, whichever is "
        "more, at the level of a next look.",
        "Classes": f"From {SEEDS_FOR_VERDICTS} seeds on, the effect on each class is tested on the "
        "images of that class, for comparisons of two arms on the test split, by a paired t-test "
        "over the seeds and by the test over seeds and images together; both have to find it. "
        "Holm's correction goes over all classes of all of them; this family has an error "
        "probability of its own, as large as that of the comparisons.",
        "Problems": "Told are: clean training accuracy more than "
        f"{100 * OVERFITTING_GAP:.0f} points above test accuracy; a training loss that rises by "
        f"more than {LOSS_JUMP:.0%} from one epoch to the next; a validation loss that still "
        f"falls by more than {STILL_FALLING:.0%} in the last epoch; an expected calibration error "
        f"above {100 * MISCALIBRATED:.0f} points; and where classes are unequal, a balanced "
        f"accuracy more than {100 * BALANCED_BELOW:.0f} points below accuracy, and arms that the "
        "two rank differently.",
    }
    return [{"title": title, "text": text.replace("%", " %")} for title, text in texts.items()]
