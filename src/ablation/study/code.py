"""Digests of the code of the jobs of a study other than training."""

from functools import cache

from ablation.augmentation.registry import STEPS
from ablation.code import PACKAGE, code_digest, files_digest
from ablation.identity import identity
from ablation.models.families import FAMILIES
from ablation.study.plan import Plan


def models_code(plan: Plan) -> str:
    """Return the digest of the code that describes the networks of a plan."""
    families = {run.settings.model.family for run in plan.runs.values()}
    return code_digest(["ablation.models.table", *(FAMILIES[family].module for family in families)])


def gallery_code(plan: Plan) -> str:
    """Return the digest of the code that draws the gallery of a plan."""
    steps = {call.step for run in plan.runs.values() for call in run.settings.augmentation}
    return code_digest(["ablation.augmentation.gallery", *(STEPS[step].module for step in steps)])


@cache
def analysis_code() -> str:
    """Return the digest of the code and the data of the analysis."""
    return identity(
        [
            code_digest(["ablation.analysis.analyse"]),
            files_digest((PACKAGE / "analysis").glob("*.yaml")),
        ]
    )[:16]


@cache
def report_code() -> str:
    """Return the digest of the code and the templates of the report."""
    return identity(
        [
            code_digest(["ablation.report.render"], only=["report"]),
            files_digest((PACKAGE / "report/templates").iterdir()),
        ]
    )[:16]
