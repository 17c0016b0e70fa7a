"""What an element's network namespace lacks after its start: routes through NATs, and on some networks an IPv4 address less.

Nothing of it is the element's own business, and no element gets NET_ADMIN for it. A container of the helper image joins the element's
namespace with that capability alone, does it and is gone: 0.2 s, and only for elements that need it. (A helper in the host's PID namespace
could do the same in 0.1 s less, but with SYS_ADMIN and SYS_PTRACE over the whole machine.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count

from lab.errors import RuntimeFault
from lab.runtime.base import ContainerSpec, Runtime
from lab.runtime.labels import Identity

_numbers = count(1)


def settle(runtime: Runtime, identity: Identity, image: str, element: str, handle: str, wanted: Sequence[str]) -> None:
    """Do what the plan asks for (`lab.plan.model.Element.settling`) in the namespace of a container that runs; RuntimeFault where it cannot
    be done."""
    with beside(runtime, identity, image, handle, ("NET_ADMIN",)) as side:
        result = runtime.exec(side, ("sh", "/usr/lib/siplab/settle.sh", *wanted))
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
