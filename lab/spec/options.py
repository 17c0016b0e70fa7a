"""What can be said of an element beyond its role: one model per role, so that a typing error in `options:` is an error like any other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from lab.spec.model import SpecModel
from lab.spec.names import nearest, problem
from lab.spec.validation import Problem, keys_of


class NoOptions(SpecModel):
    """A role about which there is nothing to choose."""


class TurnOptions(SpecModel):
    """The long-term credential of a relay (RFC 8489 §9.2)."""

    username: str = Field(default="siplab", min_length=1)
    password: str = Field(default="relay", min_length=1)


class DnsRecord(SpecModel):
    """One record that a fault puts in an answer, in zone-file terms. Without a name it is the fault's."""

    name: str | None = None
    type: str = Field(min_length=1)
    ttl: Annotated[int, Field(ge=0, le=86400)] = 1
    data: str = Field(min_length=1)


DnsFaultKind = Literal[
    "delay", "drop", "nxdomain", "servfail", "no-data", "truncate", "wrong-id", "wrong-question", "wrong-answer", "cname-loop", "lame",
    "ttl-zero", "oversized", "override",
]  # fmt: skip
DNS_PARAMETERS = {"seconds": "delay", "size": "oversized", "tcp": "truncate", "records": "override"}
"""Parameter of a fault -> the one kind that has it."""


class DnsFault(SpecModel):
    """What a name server tells, instead of the truth, whom it concerns: `name` is a glob, `source` an element, an address or a network.

    Of `every` matching questions the first is struck, and only the first `times` at all. The other members belong to one kind each:
    `seconds` of delay, `size` in bytes, `tcp` whether the truth is to be had there, the `records` of an override.
    """

    kind: DnsFaultKind
    name: Annotated[str, Field(min_length=1)] | None = None
    type: Annotated[str, Field(min_length=1)] | None = None
    source: Annotated[str, Field(min_length=1)] | None = None
    times: Annotated[int, Field(ge=1)] | None = None
    every: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(gt=0, le=30, strict=False)] | None = None
    size: Annotated[int, Field(ge=1, le=60_000)] | None = None
    tcp: bool | None = None
    records: tuple[DnsRecord, ...] | None = None

    @model_validator(mode="after")
    def _of_its_kind(self) -> DnsFault:
        for member, kind in DNS_PARAMETERS.items():
            if getattr(self, member) is not None and self.kind != kind:
                raise problem(f"{self.kind} has no {member}", f"only {kind} has", (member,))
        if self.kind == "delay" and self.seconds is None:
            raise problem("a delay needs seconds", "add seconds: 2")
        if self.kind == "override" and self.records is None:
            raise problem("an override needs records", "add records: [] for none at all")
        return self


class DnsOptions(SpecModel):
    """Faults that a name server has from the start, the later ones first; scenarios can add others."""

    faults: tuple[DnsFault, ...] = ()


class ProxyOptions(SpecModel):
    """How many requests a proxy works on at once, where it has workers that wait for name servers and databases.

    One by one nothing overtakes, which is what most topologies want to see.
    """

    workers: Annotated[int, Field(ge=1, le=16)] = 1


OPTIONS: dict[str, type[SpecModel]] = {"dns": DnsOptions, "proxy": ProxyOptions, "turn": TurnOptions}
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
                yield Problem(place, f'a {role} has no option "{wrong}"', nearest(wrong, keys_of(model, detail["loc"][:-1])), key=True)
            elif detail["type"] == "siplab":
                context = detail["ctx"]
                yield Problem((*place, *context["at"]), context["what"], context["remedy"])
            else:
                yield Problem(place, detail["msg"])
