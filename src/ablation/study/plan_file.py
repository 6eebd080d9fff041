"""The file of the resolved plan, which jobs read instead of the study."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ablation.errors import InputError
from ablation.identity import identity
from ablation.storage import atomically
from ablation.study.plan import Plan
from ablation.study.requests import gallery_request, models_request

_PLAN = TypeAdapter(Plan)
# Keys whose effect is in other parts of the plan: resolved pipelines, runs, their files.
_RESOLVED_ELSEWHERE: Any = {
    "study": {"experiments"},
    "experiments": {"__all__": {"block": {"augmentations", "exclude", "keep_weights"}}},
}


def write_plan(plan: Plan, file: Path) -> None:
    """Write a plan as JSON.

    Raises:
        InputError: the file cannot be written.
    """
    # Unset keys stay unset, because a default and the same value given can differ in meaning.
    content = _PLAN.dump_json(plan, exclude_unset=True)

    def write(part: Path) -> None:
        part.write_bytes(content)

    atomically(file, write)


def read_plan(file: Path) -> Plan:
    """Return the plan that `write_plan` wrote.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        return _PLAN.validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(
            f"{file}: cannot be read ({error}); delete it and run snakemake again"
        ) from None


def plan_digest(plan: Plan) -> str:
    """Return the hash of a plan: 16 hex digits.

    Different texts of the same study have the same digest.
    """
    return identity(_PLAN.dump_python(plan, mode="json", exclude=_RESOLVED_ELSEWHERE))[:16]


def part_digests(plan: Plan) -> dict[str, str]:
    """Return the hash of a plan and of its parts that jobs use: 16 hex digits each."""
    return {
        "plan": plan_digest(plan),
        "plan-models": identity(models_request(plan))[:16],
        "plan-gallery": identity(gallery_request(plan))[:16],
    }
