"""Containers that no lab made on a lab's network: people attach their own, and a network with one on it cannot be removed."""

from __future__ import annotations

from typing import Any

from lab.runtime.labels import MARK


def guests_on(api: Any, handle: str) -> tuple[str, ...]:
    """Names of the running containers on a network that do not carry a lab's mark."""
    on_it = api.containers(filters={"network": handle})
    return tuple(item["Names"][0].lstrip("/") for item in on_it if MARK not in (item.get("Labels") or {}))


def remove_with_guests(api: Any, handle: str) -> None:
    """Take its guests off a network, and remove it."""
    for guest in guests_on(api, handle):
        api.disconnect_container_from_network(guest, handle, force=True)
    api.remove_network(handle)
