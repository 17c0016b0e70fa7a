"""What can be said of an element beyond its role: one model per role, so that a typing error in `options:` is an error like any other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, ValidationError

from lab.spec.model import SpecModel
from lab.spec.names import nearest
from lab.spec.validation import Problem


class NoOptions(SpecModel):
    """A role about which there is nothing to choose."""


class ProxyOptions(SpecModel):
    """How long the contacts of a user may ring (seconds) before the proxy gives up on them with 408 (RFC 3261 §16.8)."""

    ring_seconds: int = Field(default=120, ge=1, le=170)


class TurnOptions(SpecModel):
    """The long-term credential of a relay (RFC 8489 §9.2)."""

    username: str = Field(default="siplab", min_length=1)
    password: str = Field(default="relay", min_length=1)


OPTIONS: dict[str, type[SpecModel]] = {"proxy": ProxyOptions, "turn": TurnOptions}
"""Role -> what its `options:` may hold; a role that is not here takes none."""


def options_of(role: str, given: Mapping[str, Any]) -> dict[str, object]:
    """The options of an element with all defaults filled in, as templates and scenarios get them."""
    return OPTIONS.get(role, NoOptions).model_validate(dict(given)).model_dump(mode="json")


def option_problems(role: str, given: Mapping[str, Any], path: tuple[str | int, ...]) -> Iterator[Problem]:
    """What is wrong with an element's `options:`, each at its place."""
    model = OPTIONS.get(role, NoOptions)
    try:
        model.model_validate(dict(given))
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            place = (*path, *(part for part in detail["loc"] if part != "[key]"))
            wrong = str(place[-1])
            if detail["type"] == "extra_forbidden":
                yield Problem(place, f'a {role} has no option "{wrong}"', nearest(wrong, model.model_fields), key=True)
            else:
                yield Problem(place, detail["msg"])
