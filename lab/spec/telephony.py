"""What is to be said of a gateway and of the telephone network behind it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from lab.spec.model import SpecModel
from lab.spec.names import AddressOfRecord, problem


def _number(text: str) -> str:
    if not re.fullmatch(r"\+[0-9]{3,15}", text):
        raise problem(f'"{text}" is not a telephone number', 'write "+" and 3 to 15 digits, in quotes')
    return text


TelephoneNumber = Annotated[str, AfterValidator(_number)]
"""In international form (ITU-T E.164)."""


class NumberOptions(SpecModel):
    """What calling a number of the telephone network leads to.

    `answer`: it rings and answers at once. `ring`: it rings until the scenario says more. `ringback`: the same, with a tone in the speech
    path (183). `release`: refused. `announcement`: a tone in the speech path for `seconds`, then refused. What refuses has the `cause`
    (ITU-T Q.850) in its Reason, which counts, and `status` as its code. `digits` says whether it takes and sends digits as telephone-events
    (RFC 4733) or as sound (ITU-T Q.23).
    """

    behaviour: Literal["answer", "ring", "ringback", "release", "announcement"]
    cause: Annotated[int, Field(ge=1, le=127)] = 16
    status: Annotated[int, Field(ge=400, le=699)] = 500
    seconds: Annotated[float, Field(gt=0, le=30)] = 3
    digits: Literal["rfc4733", "inband"] = "rfc4733"


class TrunkOptions(SpecModel):
    """The numbers of the telephone network; a call to any other is released with cause 1, unallocated number."""

    numbers: Annotated[Mapping[TelephoneNumber, NumberOptions], Field(min_length=1)]


class GatewayOptions(SpecModel):
    """The telephone numbers of the gateway's own subscribers, and who they are: nobody else may call through it or be called."""

    numbers: Annotated[Mapping[TelephoneNumber, AddressOfRecord], Field(min_length=1)]
