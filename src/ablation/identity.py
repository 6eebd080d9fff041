"""The identity of settings: a hash of their canonical form."""

import hashlib
import json
from typing import Any

from pydantic_core import to_jsonable_python


def canonical_json(settings: Any) -> str:
    """Return settings in the form that is hashed: JSON with sorted keys, no spaces, ASCII.

    Args:
        settings: plain values that JSON can hold, and pydantic models.
    """
    plain = to_jsonable_python(settings)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)


def identity(settings: Any) -> str:
    """Return the SHA-256 of settings in their canonical form, in hex."""
    return hashlib.sha256(canonical_json(settings).encode()).hexdigest()
