"""What can be said of an element beyond its role: one model per role, so that a typing error in `options:` is an error like any other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from lab.spec.model import SpecModel
from lab.spec.names import AddressOfRecord, nearest
from lab.spec.validation import Problem


class NoOptions(SpecModel):
    """A role about which there is nothing to choose."""


class TurnOptions(SpecModel):
    """The long-term credential of a relay (RFC 8489 §9.2)."""

    username: str = Field(default="siplab", min_length=1)
    password: str = Field(default="relay", min_length=1)


TelephoneNumber = Annotated[str, Field(pattern=r"^\+[0-9]{3,15}$")]
"""In international form (ITU-T E.164)."""


class NumberOptions(SpecModel):
    """What calling a number of the telephone network leads to.

    `answer`: it rings and answers at once. `ring`: it rings until the scenario says more. `ringback`: the same, with a tone in the speech
    path (183). `release`: refused with `cause` (ITU-T Q.850). `announcement`: a tone in the speech path for `seconds`, then `cause`.
    `digits` says whether it takes and sends digits as telephone-events (RFC 4733) or as sound (ITU-T Q.23).
    """

    behaviour: Literal["answer", "ring", "ringback", "release", "announcement"]
    cause: Annotated[int, Field(ge=1, le=127)] = 16
    seconds: Annotated[float, Field(gt=0, le=30)] = 3
    digits: Literal["rfc4733", "inband"] = "rfc4733"


class TrunkOptions(SpecModel):
    """The numbers of the telephone network; a call to any other is released with cause 1, unallocated number."""

    numbers: Annotated[Mapping[TelephoneNumber, NumberOptions], Field(min_length=1)]


class GatewayOptions(SpecModel):
    """The telephone numbers of the gateway's own subscribers, and who they are: nobody else may call through it or be called."""

    numbers: Annotated[Mapping[TelephoneNumber, AddressOfRecord], Field(min_length=1)]


OPTIONS: dict[str, type[SpecModel]] = {"turn": TurnOptions, "trunk": TrunkOptions, "gateway": GatewayOptions}
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
