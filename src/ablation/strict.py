"""Base class of settings and configuration files: unknown keys are errors."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from ablation.errors import nearest, shown_value


def refusal(message: str) -> PydanticCustomError:
    """Return an error for a validator to raise, whose message is shown unchanged."""
    return PydanticCustomError("refused", "{message}", {"message": message})


class Strict(BaseModel):
    """A block of a configuration file: no unknown keys, no conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        # Pydantic's own message does not name the nearest known key.
        for key in data if isinstance(data, dict) else ():
            if key not in cls.model_fields and (reason := cls._refused(key, data)):
                raise PydanticCustomError("unknown_key", "{reason}", {"key": key, "reason": reason})
        return data

    @classmethod
    def _refused(cls, key: str, data: dict[str, Any]) -> str | None:
        """Return why a key that is not a field is refused; None if it is allowed."""
        del data
        return f"unknown key {shown_value(key)}{nearest(key, cls.model_fields)}"
