"""The lab's name server in a scenario's hand: what it shall answer instead of what its zones say."""

from __future__ import annotations

from lab.agents.client import AgentClient


class NameServer:
    """Drives the element that answers for the lab's zones."""

    def __init__(self, client: AgentClient) -> None:
        self._client = client

    def answer(self, name: str, kind: str, *data: str) -> None:
        """From now on these records, in zone-file form, are all that `name` has of this type; without any it has none."""
        records = [{"type": kind, "data": text} for text in data]
        self._client.request("fault.set", kind="override", name=name, type=kind, records=records)

    def reset(self) -> None:
        """The truth again."""
        self._client.request("reset")
