"""References of a report."""

from collections.abc import Mapping
from typing import Any, NamedTuple

ARXIV = "https://arxiv.org/abs/"
DOI = "https://doi.org/"


class Reference(NamedTuple):
    """A publication.

    Attributes:
        text: authors, year, title and journal.
        id: identifier, such as a DOI.
        address: its URL.
    """

    text: str
    id: str
    address: str


def _arxiv(text: str, number: str) -> Reference:
    return Reference(text, f"arXiv:{number}", f"{ARXIV}{number}")


def _doi(text: str, number: str) -> Reference:
    return Reference(text, f"doi:{number}", f"{DOI}{number}")


METHODS = (
    _doi(
        "Brodersen, Ong, Stephan and Buhmann (2010). The balanced accuracy and its posterior "
        "distribution. ICPR.",
        "10.1109/ICPR.2010.764",
    ),
    _doi(
        "Clark (1973). The language-as-fixed-effect fallacy. Journal of Verbal Learning and Verbal "
        "Behavior 12.",
        "10.1016/S0022-5371(73)80014-3",
    ),
    _arxiv("Guo, Pleiss, Sun and Weinberger (2017). On calibration of modern neural networks.",
           "1706.04599"),
    Reference(
        "Holm (1979). A simple sequentially rejective multiple test procedure. Scandinavian "
        "Journal of Statistics 6.",
        "jstor:4615733",
        "https://www.jstor.org/stable/4615733",
    ),
    _doi(
        "Lan and DeMets (1983). Discrete sequential boundaries for clinical trials. Biometrika 70.",
        "10.1093/biomet/70.3.659",
    ),
    _doi(
        "Satterthwaite (1946). An approximate distribution of estimates of variance components. "
        "Biometrics Bulletin 2.",
        "10.2307/3002019",
    ),
)  # fmt: skip
OF_SOURCES = {
    "mnist5k": _doi(
        "LeCun, Bottou, Bengio and Haffner (1998). Gradient-based learning applied to document "
        "recognition. Proceedings of the IEEE 86. (The digits of MNIST.)",
        "10.1109/5.726791",
    ),
}  # the descriptions of other sources contain a citation
OF_FAMILIES = {
    "resnet": _arxiv(
        "He, Zhang, Ren and Sun (2015). Deep residual learning for image recognition.", "1512.03385"
    ),
}
OF_STEPS = {
    "cutmix": _arxiv(
        "Yun, Han, Oh, Chun, Choe and Yoo (2019). CutMix: regularization strategy to train strong "
        "classifiers with localizable features.",
        "1905.04899",
    ),
    "mixup": _arxiv(
        "Zhang, Cisse, Dauphin and Lopez-Paz (2018). mixup: beyond empirical risk minimization.",
        "1710.09412",
    ),
}


def references(analysis: Mapping[str, Any]) -> list[Reference]:
    """Return the references of a study's report, sorted by author.

    Args:
        analysis: content of ``analysis.json``.
    """
    families = {
        architecture["family"]
        for experiment in analysis["experiments"]
        for architecture in experiment["architectures"].values()
    }
    steps = {
        name
        for experiment in analysis["experiments"]
        for augmentation in experiment["augmentations"]
        for step in augmentation["steps"]
        for name in OF_STEPS
        if name in step["name"]
    }
    sources = {one["source"].partition("/")[0] for one in analysis["data"]}
    found = [
        *METHODS,
        *(OF_SOURCES[name] for name in sources if name in OF_SOURCES),
        *(OF_FAMILIES[name] for name in families if name in OF_FAMILIES),
        *(OF_STEPS[name] for name in steps),
    ]
    return sorted(found)
