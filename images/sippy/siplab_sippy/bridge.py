"""One call: two of sippy's user agents back to back, as its own b2bua_simple joins them."""

from __future__ import annotations

from typing import Any

from sippy.CCEvents import CCEventDisconnect, CCEventFail, CCEventTry
from sippy.UA import UA


class Bridge:
    """Joins caller and callee. `target` is the callee's Request-URI, `next_hop` host and port to send to."""

    def __init__(self, config: dict[str, Any], target: Any, next_hop: tuple[str, int]) -> None:
        self._config = config
        self._target = target
        self._next_hop = next_hop
        self.caller = UA(config, self._heard)
        self._callee: UA | None = None

    def _heard(self, event: Any, agent: UA) -> None:
        if agent is not self.caller:
            self.caller.recvEvent(event)
        elif self._callee:
            self._callee.recvEvent(event)
        elif isinstance(event, CCEventTry):
            self._call(event)
        else:
            self.caller.recvEvent(CCEventDisconnect())

    def _call(self, event: CCEventTry) -> None:
        if event.max_forwards is not None:
            event.max_forwards -= 1
            if event.max_forwards <= 0:
                self.caller.recvEvent(CCEventFail((483, "Too Many Hops")))
                return
        event.onUacSetupComplete = self._address
        self._callee = UA(self._config, event_cb=self._heard, nh_address=self._next_hop)
        self._callee.recvEvent(event)

    def _address(self, callee: UA) -> None:
        """The caller's From and To with their domains, in place of the addresses of the two hops that sippy puts there."""
        callee.rTarget = self._target
        callee.rUri.getUrl().host = self.caller.lUri.getUrl().host
        callee.lUri.getUrl().host = self.caller.rUri.getUrl().host
