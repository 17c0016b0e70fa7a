"""The control channel: one JSON object a line, as in the agent contract; the methods are a name server's."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from siplab_dns import VERSION
from siplab_dns.faults import KINDS, BadParams
from siplab_dns.server import Answerer

log = logging.getLogger("siplab_dns")

CONTRACT = 1
_MAX_QUERIES = 200  # a line has at most 64 KiB

Params = Mapping[str, Any]
Method = Callable[[Params], dict[str, Any]]


class Control:
    """Requests to outcomes. `stop` is called once by `shutdown`."""

    def __init__(self, answerer: Answerer, origins: list[str], stop: Callable[[], None]) -> None:
        self._answerer = answerer
        self._origins = origins
        self._stop = stop
        self._methods: dict[str, Method] = {
            "hello": self._hello,
            "fault.set": lambda params: {"fault": answerer.faults.set(params)},
            "fault.clear": self._clear,
            "queries": self._queries,
            "reset": self._reset,
            "shutdown": self._shutdown,
        }

    def handle(self, line: bytes) -> dict[str, Any]:
        """The response to one line."""
        try:
            request = json.loads(line)
        except (ValueError, RecursionError) as error:
            return _error(None, "bad-params", f"not JSON: {error}")
        if not isinstance(request, dict):
            return _error(None, "bad-params", "a request is a JSON object")
        number, name, params = request.get("id"), request.get("method"), request.get("params") or {}
        method = self._methods.get(name) if isinstance(name, str) else None
        if method is None:
            return _error(number, "unsupported", f"unknown method {name!r}")
        if not isinstance(params, dict):
            return _error(number, "bad-params", "params: an object is needed")
        try:
            answer = {"id": number, "result": method(params)}
        except BadParams as error:
            answer = _error(number, "bad-params", str(error))
        except Exception as error:  # every request has its one answer, also where we are at fault
            log.exception("%s %s", name, params)
            answer = _error(number, "vendor", f"{name}: {type(error).__name__}: {error}")
        return answer

    def _hello(self, _: Params) -> dict[str, Any]:
        return {
            "contract": CONTRACT,
            "vendor": "siplab-dns",
            "version": VERSION,
            "capabilities": [],
            "zones": self._origins,
            "faults": list(KINDS),
        }

    def _clear(self, params: Params) -> dict[str, Any]:
        self._answerer.faults.clear(params.get("fault"))
        return {}

    def _queries(self, params: Params) -> dict[str, Any]:
        """`after`: the last `seq` already known; `more` says that a further call brings further queries."""
        after = params.get("after", 0)
        if not isinstance(after, int):
            raise BadParams(f"after: {after!r} is not int")
        found = self._answerer.since(after, _MAX_QUERIES + 1)
        return {"queries": found[:_MAX_QUERIES], "more": len(found) > _MAX_QUERIES}

    def _reset(self, _: Params) -> dict[str, Any]:
        self._answerer.forget()
        return {}

    def _shutdown(self, _: Params) -> dict[str, Any]:
        self._stop()
        return {}


def event(name: str, /, **members: Any) -> dict[str, Any]:
    """An event as the contract wants it."""
    return {"event": name, "t": time.time(), "source": "native", **members}


def write(out: IO[bytes], message: Mapping[str, Any]) -> None:
    """One line."""
    out.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
    out.flush()


def read_lines(source: IO[bytes], deliver: Callable[[bytes], None]) -> None:
    """Hand over lines as they come, from a thread of its own: stdin may be a pipe, a terminal or nothing at all. At its end the
    server goes on: nobody will change its answers any more, and that is all."""

    def pump() -> None:
        for line in source:
            if line.strip():
                deliver(line)

    threading.Thread(target=pump, name="control", daemon=True).start()


def _error(number: Any, code: str, message: str) -> dict[str, Any]:
    return {"id": number, "error": {"code": code, "message": message}}
