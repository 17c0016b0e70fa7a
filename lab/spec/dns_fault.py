"""What a name server tells instead of the truth, as a topology writes it. Scenarios say the same through `lab.name_server.fault`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lab.spec.model import SpecModel
from lab.spec.names import problem


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
    seconds: Annotated[float, Field(gt=0, le=30)] | None = None
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
