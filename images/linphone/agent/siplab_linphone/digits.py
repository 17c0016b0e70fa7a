"""Digits, one after the other. liblinphone's own way of sending several counts time by its clock and not by what was sent: on a machine
that is late, the next digit takes the place of one that no packet has carried yet."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from .api import CallState

if TYPE_CHECKING:
    from .calls import Call
    from .driver import Driver

SPACING_S = 0.3
"""From digit to digit: an event lasts 0.1 s, and its end is repeated after it (RFC 4733 §2.5.1.4)."""


class Digits:
    """What is still to be sent in calls."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._waiting: dict[str, deque[tuple[str, bool]]] = {}

    def send(self, call: Call, digits: str, info: bool) -> int:
        """Send them after those that wait; liblinphone's result for what is sent at once, 0 for what waits."""
        waiting = self._waiting.get(call.id)
        if waiting is not None:
            waiting.extend((digit, info) for digit in digits)
            return 0
        result = self._one(call, digits[0], info)
        if result == 0:
            self._waiting[call.id] = deque((digit, info) for digit in digits[1:])
            self._driver.later(lambda: self._next(call, time.monotonic() + SPACING_S))
        return result

    def _next(self, call: Call, due: float) -> None:
        """Called with every turn of the core until all are sent and the last one has had its time."""
        if time.monotonic() < due and not call.ended:
            self._driver.later(lambda: self._next(call, due))
            return
        waiting = self._waiting[call.id]
        if call.ended or call.state != CallState.RUNNING or not waiting or self._one(call, *waiting.popleft()):
            del self._waiting[call.id]
            return
        self._driver.later(lambda: self._next(call, time.monotonic() + SPACING_S))

    def _one(self, call: Call, digit: str, info: bool) -> int:
        api, core = self._driver.api, self._driver.core
        api.core_set_use_info_for_dtmf(core, int(info))
        api.core_set_use_rfc2833_for_dtmf(core, int(not info))
        return int(api.call_send_dtmf(call.pointer, digit.encode()))
