"""What can be said of an element beyond its role: one model per role, so that a typing error in `options:` is an error like any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, ValidationError

from lab.spec.dns_fault import DnsOptions
from lab.spec.model import SpecModel
from lab.spec.names import distinct
from lab.spec.telephony import GatewayOptions, TrunkOptions
from lab.spec.validation import Problem, problems_of


class NoOptions(SpecModel):
    """A role about which there is nothing to choose."""


class ProxyOptions(SpecModel):
    """How long the contacts of a user may ring (seconds) before the proxy gives up on them with 408 (RFC 3261 §16.8).

    And on how many requests it works at once, where it has workers that wait for name servers: one by one nothing overtakes.
    """

    ring_seconds: int = Field(default=120, ge=1, le=170)
    workers: int = Field(default=1, ge=1, le=16)


class VoicemailOptions(SpecModel):
    """The PIN of every mailbox, what so many wrong ones in a row lead to, and the tones (Hz) by which an answer can be told."""

    pin: str = Field(default="2468", pattern="^[0-9]{4,8}$")
    lock_after: int = Field(default=3, ge=1, le=10)
    lock_seconds: int = Field(default=60, ge=1, le=3600)
    no_answer_hz: int = Field(default=2240, ge=300, le=3400)
    busy_hz: int = Field(default=2020, ge=300, le=3400)
    ask_hz: int = Field(default=1720, ge=300, le=3400)
    beep_hz: int = Field(default=1820, ge=300, le=3400)
    accepted_hz: int = Field(default=2360, ge=300, le=3400)
    refused_hz: int = Field(default=1920, ge=300, le=3400)


class FocusOptions(SpecModel):
    """The PIN of the room that has one, and the tones (Hz) that ask for it and refuse a wrong one."""

    pin: str = Field(default="8642", pattern="^[0-9]{4,8}$")
    ask_hz: int = Field(default=1720, ge=300, le=3400)
    refused_hz: int = Field(default=1920, ge=300, le=3400)


Secret = Annotated[str, Field(pattern=r"^[!-9;-~]{1,64}$")]
"""ASCII without blanks and colons, which separate name and password in configuration files."""


class TurnOptions(SpecModel):
    """The long-term credential of a relay (RFC 8489 §9.2)."""

    username: Secret = "siplab"
    password: Secret = "relay"


NatType = Literal["full-cone", "address-restricted", "port-restricted", "symmetric", "firewall", "udp-blocked"]
Permission = Annotated[str, Field(pattern=r"^(?:udp|tcp(?:/[1-9][0-9]{0,4})?)$")]


class NatOptions(SpecModel):
    """What a NAT or firewall does (RFC 4787). The first four types are the classic ones (RFC 3489 §5): endpoint-independent mapping with
    ever stricter filtering, then address-and-port-dependent mapping. A `firewall` translates nothing; `udp-blocked` translates TCP only.

    `binding_timeout` is in seconds, `allow` what may be opened from inside (`tcp/443`, `tcp`, `udp`): all, where it is empty. DNS always
    may. `alg` rewrites SIP over UDP to port 5060. A vendor's flavour that has the name of a type is of that type.
    """

    type: NatType = "port-restricted"
    hairpin: bool = False
    binding_timeout: Annotated[int, Field(ge=2, le=86400)] = 120
    alg: bool = False
    allow: Annotated[tuple[Permission, ...], AfterValidator(distinct)] = ()

    def played_by(self, flavour: str) -> NatOptions:
        """Of the flavour's type, where its name is one: so that a matrix can vary it."""
        return self.model_copy(update={"type": flavour}) if flavour in get_args(NatType) else self


OPTIONS: dict[str, type[SpecModel]] = {
    "dns": DnsOptions,
    "nat": NatOptions,
    "proxy": ProxyOptions,
    "gateway": GatewayOptions,
    "trunk": TrunkOptions,
    "turn": TurnOptions,
    "voicemail": VoicemailOptions,
    "focus": FocusOptions,
}
"""Role -> what its `options:` may hold; a role that is not here takes none."""


def options_of(role: str, given: Mapping[str, Any], flavour: str = "") -> dict[str, object]:
    """The options of an element with all defaults filled in, as templates and scenarios get them; `flavour` is what plays it."""
    options = OPTIONS.get(role, NoOptions).model_validate(dict(given))
    played = options.played_by(flavour) if isinstance(options, NatOptions) else options
    return played.model_dump(mode="json")


def option_problems(role: str, given: Mapping[str, Any], path: tuple[str | int, ...]) -> list[Problem]:
    """What is wrong with an element's `options:`, each at its place."""
    model = OPTIONS.get(role, NoOptions)
    try:
        model.model_validate(dict(given))
    except ValidationError as error:
        return problems_of(error, model, path)
    return []
