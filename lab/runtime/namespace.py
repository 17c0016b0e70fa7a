"""What an element's network namespace lacks after its start: routes through NATs, and on some networks an IPv4 address less.

Nothing of it is the element's own business, and no element gets NET_ADMIN for it. A container of the helper image joins the element's
namespace with that capability alone, does it and is gone: 0.2 s, and only for elements that need it. (A helper in the host's PID namespace
could do the same in 0.1 s less, but with SYS_ADMIN and SYS_PTRACE over the whole machine.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from lab.errors import RuntimeFault
from lab.plan.model import Element
from lab.runtime.base import ContainerSpec, Runtime
from lab.runtime.labels import Identity

_numbers = count(1)

# Interfaces are found by address: their names differ between engines. Arguments: IPV6ADDRESS (its interface loses all IPv4), or
# DESTINATION via GATEWAY.
_SETTLE = """
while [ $# -gt 0 ]; do
  case "$2" in
  via)
    case "$3" in *:*) family=-6 ;; *) family=-4 ;; esac
    ip $family route replace "$1" via "$3"
    shift 3 ;;
  *)
    device=$(ip -6 -o address show to "$1" | while read -r _ name _; do echo "$name"; break; done)
    ip -4 address flush dev "$device"
    [ -z "$(ip -4 -o address show dev "$device")" ]
    shift ;;
  esac
done
"""


@dataclass(frozen=True)
class Settlement:
    """What is to be done in one namespace. `ipv6_only` are IPv6 addresses of interfaces that shall have no other family."""

    ipv6_only: tuple[str, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.ipv6_only or self.routes)

    @property
    def arguments(self) -> tuple[str, ...]:
        """For the script: each route is three words, so that an address alone is told from it by the word after it."""
        return (*(word for where, gateway in self.routes for word in (where, "via", gateway)), *self.ipv6_only)


def settlement(element: Element) -> Settlement:
    """What the plan asks for beyond what an engine does."""
    return Settlement(
        tuple(str(place.ipv6) for place in element.interfaces if place.ipv4 is None),
        tuple((str(route.destination), str(route.gateway)) for route in element.ip_routes),
    )


def settle(runtime: Runtime, identity: Identity, image: str, element: str, handle: str, wanted: Settlement) -> None:
    """Do it, in the namespace of a container that runs; RuntimeFault where it cannot be done."""
    with beside(runtime, identity, image, handle, ("NET_ADMIN",)) as side:
        result = runtime.exec(side, ("sh", "-ec", _SETTLE, "settle", *wanted.arguments))
    if result.exit_code:
        said = " ".join((result.stderr or result.stdout).decode(errors="replace").split())[-200:]
        raise RuntimeFault(f"{element}: its network cannot be set up: {said or result.exit_code}", remedy="is the helper image current?")


@contextmanager
def beside(runtime: Runtime, identity: Identity, image: str, handle: str, capabilities: Sequence[str] = ()) -> Iterator[str]:
    """A container of the helper image in the network namespace of another one, for commands; removed at the end."""
    spec = ContainerSpec(
        name=identity.name(f"beside{next(_numbers)}"),
        image=image,
        network_of=handle,
        command=("sleep", "infinity"),
        capabilities=tuple(capabilities),
        labels=identity.labels(),
        memory_mb=64,
        pids=16,
    )
    side = runtime.create(spec)
    try:
        runtime.start(side)
        yield side
    finally:
        runtime.remove(side)
