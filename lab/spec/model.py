"""What all models of YAML files have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SpecModel(BaseModel):
    """Frozen, without coercion (`"5060"` is no number), and a key it does not know is an error: a typo must not be silent."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
