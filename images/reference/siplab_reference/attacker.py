"""python3 -m siplab_reference.attacker: a SIP address where nobody honest lives. It takes what comes, tells of it, and answers as told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from siplab_agent import AsyncAgent, BadParams, log

from lab.sip.flow import Flow
from lab.sip.responder import asked, response
from lab.sip.tls import TlsFiles
from lab.sip.transports import Transports

MOST = 2000
"""Requests that are told between two resets: whoever floods this element floods nobody else."""


class AttackerAgent(AsyncAgent):
    """Listens on UDP, TCP and TLS, on every address, with its own certificate. Silent until told what to answer.

    `answer` {`code`?, `methods`?}: from now on requests of these methods (left out: all) get this code, without one silence. Every request
    is an event `request.received` {`method`, `uri`, `transport`, `peer`}.
    """

    vendor = "reference"
    capabilities = frozenset({"udp", "tcp", "tls", "ipv6"})

    async def start(self) -> None:
        """Open the sockets."""
        config = self.config
        self._codes: dict[str, int | None] = {}
        self._told = 0
        files = TlsFiles(config.ca, config.certificate, config.key, config.keylog)
        hosts = tuple(address for address in (config.ipv4, config.ipv6) if address)
        self._transports = Transports(hosts, files, self._received, log)
        await self._transports.listen()

    async def stop(self) -> None:
        """Close them."""
        await self._transports.close()

    def version(self) -> str:
        """As the reference user agent's."""
        return "1"

    async def reset(self) -> None:
        """Silent again, without connections."""
        self._codes = {}
        self._told = 0
        self._transports.drop_connections()

    async def _dispatch(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        return self._answer(params) if method == "answer" else await super()._dispatch(method, params)

    def _answer(self, params: Mapping[str, Any]) -> dict[str, Any]:
        code, methods = params.get("code"), params.get("methods") or []
        if code is not None and (not isinstance(code, int) or isinstance(code, bool) or not 100 <= code <= 699):
            raise BadParams(f"answer: code must be 100 to 699, not {code!r}")
        if not isinstance(methods, list) or not all(isinstance(name, str) and name for name in methods):
            raise BadParams(f"answer: methods must be a list of names, not {methods!r}")
        self._codes = {**self._codes, **dict.fromkeys(methods, code)} if methods else {"*": code}
        return {}

    def _received(self, data: bytes, flow: Flow) -> None:
        request = asked(data)
        if request is None:
            return
        if self._told < MOST:
            self._told += 1
            peer = f"{flow.peer[0]} {flow.peer[1]}"
            self.emit("request.received", method=request.method, uri=request.uri, transport=flow.transport, peer=peer)
        code = self._codes.get(request.method, self._codes.get("*"))
        if code is not None and request.method != "ACK":
            flow.send(response(data, code))


if __name__ == "__main__":
    AttackerAgent.main()
