"""The vendor manifest, `images/<vendor>/vendor.yaml`: how an implementation is built, started, checked and asked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from lab.spec.capability import CapabilityName
from lab.spec.model import SchemaVersion, SpecModel
from lab.spec.names import FlavourName, Line, Name, Pattern, distinct, nearest, problem, quoted
from lab.spec.role import Role


def _absolute(path: str) -> str:
    if not path.startswith("/") or ".." in path.split("/"):
        raise problem(f'"{path}" is not an absolute path', "start it with / and leave .. out")
    return path


def _inside(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/") or not path:
        raise problem(f'"{path}" is not a file of the vendor\'s folder', "write a path relative to vendor.yaml, without ..")
    return path


def _of_the_project(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/") or not path:
        raise problem(f'"{path}" is not a folder of the project', "write a path relative to its root, without ..")
    return path


def _linux_capability(name: str) -> str:
    if not re.fullmatch(r"[A-Z]+(?:_[A-Z]+)*", name) or name == "ALL" or name.startswith("CAP_"):
        raise problem(f'"{name}" is not one Linux capability', "name each that is needed, without CAP_, such as NET_ADMIN")
    return name


def _network_sysctl(name: str) -> str:
    if not re.fullmatch(r"net(?:\.[a-z0-9_-]+)+", name):
        raise problem(f'"{name}" is not a kernel parameter of the network', "name one below net., such as net.ipv4.ip_forward")
    return name


def _environment_variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise problem(f"{quoted(name)} is not an environment variable", "write letters, digits and _")
    return name


def _requirement(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!_-]+", text):
        raise problem(f'"{text}" is not a pinned wheel', "write name==version")
    return text


ContainerPath = Annotated[str, AfterValidator(_absolute)]
FolderPath = Annotated[str, AfterValidator(_inside)]
ProjectPath = Annotated[str, AfterValidator(_of_the_project)]
Text = Annotated[str, Field(min_length=1)]
Argv = tuple[Text, ...]
Command = Annotated[Argv, Field(min_length=1)]
Capabilities = Annotated[tuple[CapabilityName, ...], AfterValidator(distinct)]


class Flavour(SpecModel):
    """A version or build: `base` is the Debian suite below it, `args` are arguments of the image's build."""

    base: Annotated[str, Field(pattern=r"^[a-z]+$")]
    args: Mapping[str, str] = Field(default_factory=dict)
    supports_add: Capabilities = ()
    supports_remove: Capabilities = ()


class Ready(SpecModel):
    """When a started container can be used: its agent says hello, its output matches `log`, or `exec` exits with 0. Exactly one."""

    agent: Literal[True] | None = None
    log: Pattern | None = None
    exec: Command | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Ready:
        given = [name for name in ("agent", "log", "exec") if getattr(self, name) is not None]
        if len(given) != 1:
            raise problem(f"has {' and '.join(given) or 'none'} of agent, log and exec", "give exactly one")
        return self


class Running(SpecModel):
    """What may differ between the roles that one implementation plays: how it is configured, started and asked, what it can do there."""

    supports: Capabilities = ()
    command: Argv = ()
    files: Mapping[FolderPath, ContainerPath] = Field(default_factory=dict)
    logs: tuple[ContainerPath, ...] = ()
    keylog: bool = False
    environment: Mapping[Annotated[str, AfterValidator(_environment_variable)], str] = Field(default_factory=dict)
    capabilities: Annotated[tuple[Annotated[str, AfterValidator(_linux_capability)], ...], AfterValidator(distinct)] = ()
    sysctls: Mapping[Annotated[str, AfterValidator(_network_sysctl)], str] = Field(default_factory=dict)
    memory_mb: Annotated[int, Field(ge=6)] = 128
    pids: Annotated[int, Field(ge=1)] = 64
    control: Mapping[Name, Command] = Field(default_factory=dict)
    misbehaviours: Annotated[tuple[Name, ...], AfterValidator(distinct)] = ()


class InRole(Running):
    """What is different in one role: a key that is given here stands in place of the manifest's own."""

    ready: Ready | None = None

    @model_validator(mode="after")
    def _some_sign(self) -> InRole:
        if "ready" in self.model_fields_set and self.ready is None:
            raise problem("must be a mapping, not nothing", "leave it out, or give one of agent, log and exec", ("ready",))
        return self


class Vendor(Running):
    """One implementation. Its folder has its name.

    `version` is the command whose output holds the version of what runs; without one the flavour's name stands for it.
    """

    schema_version: SchemaVersion = Field(alias="schema")
    name: Name
    title: Line
    roles: Annotated[tuple[Role, ...], Field(min_length=1), AfterValidator(distinct)]
    default: FlavourName
    flavours: Annotated[Mapping[FlavourName, Flavour], Field(min_length=1)]
    shared: Annotated[tuple[Name, ...], AfterValidator(distinct)] = ()
    sources: Annotated[tuple[ProjectPath, ...], AfterValidator(distinct)] = ()
    needs: Annotated[tuple[Name, ...], AfterValidator(distinct)] = ()
    wheels: tuple[Annotated[str, AfterValidator(_requirement)], ...] = ()
    sdists: tuple[Annotated[str, AfterValidator(_requirement)], ...] = ()
    ready: Ready
    version: Argv = ()
    in_role: Mapping[Role, InRole] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Vendor:
        if self.default not in self.flavours:
            raise problem(f'default "{self.default}" is not one of the flavours', nearest(self.default, self.flavours), ("default",))
        for role in self.in_role.keys() - set(self.roles):
            raise problem(f'in_role "{role}" is not one of its roles', nearest(role, self.roles), ("in_role", role))
        declared = set(self.supports).union(*(part.supports for part in self.in_role.values()))
        for name, flavour in self.flavours.items():
            for capability in set(flavour.supports_remove) - declared:
                raise problem(
                    f'flavour "{name}" removes "{capability}", which is not in supports',
                    "remove it there",
                    ("flavours", name, "supports_remove"),
                )
        return self

    def playing(self, role: str) -> Vendor:
        """The manifest as it is in this role: its own keys, and in place of them those that `in_role` gives."""
        part = self.in_role.get(role)
        return self.model_copy(update={name: getattr(part, name) for name in part.model_fields_set}) if part else self

    def capabilities_of(self, flavour: str) -> frozenset[str]:
        """What one flavour declares; KeyError where there is no such flavour."""
        chosen = self.flavours[flavour]
        return (frozenset(self.supports) | frozenset(chosen.supports_add)) - frozenset(chosen.supports_remove)


def lacking(vendor: Vendor, flavour: str, role: str, needs: Iterable[str]) -> tuple[str, ...]:
    """What is needed of an element with this role and not declared by who would play it, in the order of `needs`."""
    declared = vendor.playing(role).capabilities_of(flavour)
    return tuple(capability for capability in needs if capability not in declared)


def vendor_json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a vendor manifest, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Vendor.model_json_schema(by_alias=True), "title": "siplab vendor"}
