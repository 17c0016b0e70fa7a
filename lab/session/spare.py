"""A second container of an element: for what ends an element, which must not happen to the one that the lab lives on."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lab.runtime.base import Attachment, Channel, ContainerSpec, FileContent, Runtime
from lab.runtime.labels import Identity
from lab.runtime.lease import Lease

AGENT_JSON = "/etc/siplab/agent.json"
LOOK_EVERY = 0.05


@dataclass(frozen=True)
class Spare:
    """It runs, with nobody attached but who holds `channel`; it goes with its lab at the latest."""

    runtime: Runtime
    handle: str
    channel: Channel

    def terminate(self) -> None:
        """SIGTERM to its main process, as an engine does that stops it."""
        self.runtime.kill(self.handle, "SIGTERM")

    def exit_code(self, within: float) -> int | None:
        """How it ended; None where it still runs after `within` seconds."""
        deadline = time.monotonic() + within
        while (state := self.runtime.state(self.handle)).running and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)  # an engine tells the end of a container only when asked
        return None if state.running else state.exit_code

    def remove(self) -> None:
        """Stop listening, and remove it."""
        self.channel.close()
        self.runtime.remove(self.handle)


def start_spare(
    runtime: Runtime, identity: Identity, lease: Lease, spec: ContainerSpec, files: Mapping[str, FileContent], number: int
) -> Spare:
    """Another container like `spec`, the `number`th of its lab, at addresses from the end of the lease that no plan uses."""
    ipv4, ipv6 = (str(subnet[-2 - number]) if subnet else "" for subnet in (lease.ipv4, lease.ipv6))
    place = Attachment(lease.spec.name, ipv4, ipv6)
    handle = runtime.create(replace(spec, name=f"{spec.name}-spare{number}", networks=(place,), labels=identity.labels()))
    runtime.put(handle, {**files, AGENT_JSON: _moved(files[AGENT_JSON], place)})
    channel = runtime.attach(handle)
    runtime.start(handle)
    return Spare(runtime, handle, channel)


def _moved(config: FileContent, place: Attachment) -> FileContent:
    """The element's configuration for another address; the key log stays the element's own."""
    changed = {**json.loads(config.data), "ipv4": place.ipv4 or None, "ipv6": place.ipv6 or None, "keylog": None}
    return FileContent(json.dumps(changed).encode(), config.mode)
