"""What all models of YAML files have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lab.spec.names import problem


class SpecModel(BaseModel):
    """Frozen, without coercion (`"5060"` is no number), and a key it does not know is an error: a typo must not be silent."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _known_version(value: int) -> int:
    if value != 1:
        raise problem(f"version {value} is not known", "write 1, or use the siplab that knows it")
    return value


SchemaVersion = Annotated[int, Field(json_schema_extra={"const": 1}), AfterValidator(_known_version)]
"""The version of a file's language. A number of its own type: `Literal[1]` would accept `true`."""
