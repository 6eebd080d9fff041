"""The report on the finished runs of a study."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablation.analysis.analyse import analyse
from ablation.augmentation.gallery import draw_gallery
from ablation.errors import InputError
from ablation.models.table import describe_models
from ablation.report.render import render
from ablation.study.plan import Plan
from ablation.study.requests import gallery_request, models_request


def report_partial(plan: Plan) -> None:
    """Analyse the runs that have finished and render ``reports/NAME-partial.html``.

    The files of the complete study do not change.

    Raises:
        InputError: no data is prepared, or a finished run has damaged files.
    """
    partial = plan.tables / "partial"
    describe_models(_prepared(models_request(plan)), partial / "models.json")
    draw_gallery(_prepared(gallery_request(plan)), partial / "gallery.npz")
    analyse(plan, partial, partial=True, looks=plan.tables / "looks.csv")
    render(f"{plan.name}-partial", partial, plan.reports)


def _prepared(request: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries of a request whose data is prepared."""
    part = [wanted for wanted in request if _is_prepared(wanted)]
    if not part:
        names = ", ".join(dict.fromkeys(wanted["dataset"] for wanted in request))
        raise InputError(
            f"no data is prepared ({names}), so there is nothing to report; 'snakemake' runs "
            "the study, 'snakemake data' only prepares its data"
        )
    return part


def _is_prepared(wanted: Mapping[str, Any]) -> bool:
    return (Path(wanted["data"]) / "description.json").is_file()
