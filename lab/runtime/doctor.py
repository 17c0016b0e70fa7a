"""Is this machine fit for labs: one line per check, each with what to do.

Pure: `checks` decides from `Facts`, and `doctor_facts` gathers them. Remedies are commands or single actions, never essays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

from lab.runtime.engine import MINIMUM_API, Contact, api_is_enough, no_engine

Status = Literal["ok", "warn", "fail"]
Network = IPv4Network | IPv6Network

LAB_POOLS: tuple[Network, ...] = (ip_network("198.18.0.0/15"), ip_network("2001:db8::/32"))
"""Where labs lease subnets from: benchmarking (RFC 2544) and documentation (RFC 3849) space, which no real network should use."""

_GIB = 1024**3
_ENOUGH_DISK = 6 * _GIB
_LEAST_DISK = 2 * _GIB
_SHOWN = 3

KERNEL_FEATURES = {
    "nftables": "NAT and firewall elements use it",
    "conntrack": "NAT elements use it",
    "bridge netfilter": "where on, routed traffic between lab networks needs a rule, which labs set",
}
"""Feature → what for."""


@dataclass(frozen=True)
class Check:
    """One line of the doctor. `remedy` is empty where all is well."""

    name: str
    status: Status
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Occupied:
    """An address range in use: `holder` is a route's interface or an engine's network."""

    holder: str
    network: Network


@dataclass(frozen=True)
class Facts:
    """What was found. None means that it could not be told from here, which is never taken for good."""

    contact: Contact
    engine: str = ""
    root: bool = False
    shared_kernel: bool = True
    kernel: dict[str, bool | None] = field(default_factory=dict)
    disk_path: str = ""
    free_bytes: int | None = None
    images_present: tuple[str, ...] = ()
    images_missing: tuple[str, ...] = ()
    occupied: tuple[Occupied, ...] = ()


def checks(facts: Facts) -> list[Check]:
    """All lines, in the order in which a person would fix them. Without an engine only what can be told without it."""
    lines = [_engine(facts), _rights(facts)]
    lines += [_kernel(facts, name) for name in KERNEL_FEATURES]
    if facts.contact.answers:
        lines += [_disk(facts), _images(facts)]
    return [*lines, _pools(facts.occupied)]


def is_fit(lines: Iterable[Check]) -> bool:
    """Can labs run: nothing failed. Warnings do not count."""
    return all(line.status != "fail" for line in lines)


def _engine(facts: Facts) -> Check:
    contact = facts.contact
    if not contact.answers:
        fault = no_engine(contact)
        return Check("engine", "fail", fault.what, fault.remedy)
    detail = f"{facts.engine or 'engine'} at {contact.url}, API {contact.api_version}"
    if not api_is_enough(contact.api_version):
        return Check("engine", "fail", f"{detail}: {MINIMUM_API} is needed", "install Docker 20.10 or newer")
    return Check("engine", "ok", detail)


def _rights(facts: Facts) -> Check:
    if facts.contact.reach == "denied":
        return Check("rights", "fail", f"may not use {facts.contact.url}", "sudo usermod -aG docker $USER, then log in again")
    if facts.contact.answers:
        return Check("rights", "ok", f"may use the engine{' as root' if facts.root else ''}")
    if facts.root:
        return Check("rights", "ok", "root: may install and start an engine")
    return Check("rights", "warn", "not root: cannot install or start an engine", "run `sudo siplab doctor --fix` once")


def _kernel(facts: Facts, name: str) -> Check:
    use = KERNEL_FEATURES[name]
    found = facts.kernel.get(name)
    if name == "bridge netfilter" and found is not None:
        return Check(name, "ok", f"{'on' if found else 'off'} ({use})")
    if found:
        return Check(name, "ok", f"available ({use})")
    if found is None:
        where = "from here" if facts.shared_kernel else "on a remote engine's kernel"
        return Check(name, "warn", f"cannot be told {where} ({use})", "run `siplab images build`, then the doctor asks the helper image")
    return Check(
        name,
        "warn",
        f"missing in the kernel ({use}): scenarios with them are inconclusive",
        "boot a kernel with CONFIG_NF_TABLES, CONFIG_NF_CONNTRACK",
    )


def _disk(facts: Facts) -> Check:
    if facts.free_bytes is None:
        return Check("disk", "warn", "cannot be told for this engine", f"see that it has {_ENOUGH_DISK // _GIB} GiB free for images")
    detail = f"{facts.free_bytes / _GIB:.1f} GiB free in {facts.disk_path}"
    if facts.free_bytes < _LEAST_DISK:
        return Check("disk", "fail", detail, f"free {_LEAST_DISK // _GIB} GiB at least, {_ENOUGH_DISK // _GIB} GiB for all images")
    if facts.free_bytes < _ENOUGH_DISK:
        return Check("disk", "warn", detail, f"all images and captures want {_ENOUGH_DISK // _GIB} GiB")
    return Check("disk", "ok", detail)


def _images(facts: Facts) -> Check:
    total = len(facts.images_present) + len(facts.images_missing)
    if not total:
        return Check("images", "warn", "no manifests to compare with", "run it in a siplab checkout")
    if facts.images_missing:
        names = ", ".join(facts.images_missing)
        return Check("images", "ok", f"{len(facts.images_present)} of {total} built, a run builds what it needs: {names}")
    return Check("images", "ok", f"all {total} built")


def _pools(occupied: Sequence[Occupied]) -> Check:
    names = " and ".join(map(str, LAB_POOLS))
    clashes = [item for item in occupied if any(_overlap(item.network, pool) for pool in LAB_POOLS)]
    if not clashes:
        return Check("addresses", "ok", f"{names} are free")
    more = f" and {len(clashes) - _SHOWN} more" if len(clashes) > _SHOWN else ""
    text = ", ".join(f"{item.network} ({item.holder})" for item in clashes[:_SHOWN]) + more
    if any(_covers(item.network, pool) for item in clashes for pool in LAB_POOLS):
        return Check("addresses", "fail", f"taken: {text}", "remove that route or network (a VPN's?): no lab address is left")
    return Check("addresses", "warn", f"partly taken: {text}", "nothing: labs lease around it")


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _covers(one: Network, pool: Network) -> bool:
    if isinstance(one, IPv4Network) and isinstance(pool, IPv4Network):
        return pool.subnet_of(one)
    return isinstance(one, IPv6Network) and isinstance(pool, IPv6Network) and pool.subnet_of(one)
