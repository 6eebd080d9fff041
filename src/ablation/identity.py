"""The identity of settings: a hash of their one canonical form."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel


def canonical_json(settings: Any) -> str:
    """Write settings in the one form that is hashed: sorted keys, no spaces, ASCII.

    Args:
        settings: a pydantic model or plain values that JSON can hold.
    """
    if isinstance(settings, BaseModel):
        settings = settings.model_dump(mode="json")
    return json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)


def identity(settings: Any) -> str:
    """Return the SHA-256 of settings in their canonical form, in hex."""
    return hashlib.sha256(canonical_json(settings).encode()).hexdigest()
