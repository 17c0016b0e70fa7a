"""Asterisk's REST interface: requests by HTTP, events by WebSocket, both on the loopback interface of the container."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlencode

import websocket
from siplab_agent import Refused, log

APPLICATION = "siplab"
HOST, PORT = "127.0.0.1", 8088
USER, PASSWORD = "siplab", "siplab"
ANSWER_WITHIN = 8.0
NOT_FOUND = 404

Json = dict[str, Any]


class Ari:
    """Commands to Asterisk. Events come to `on_event` on a thread of their own, in order; `on_end` is told why no more will come."""

    def __init__(self, on_event: Callable[[Json], None], on_end: Callable[[str], None]) -> None:
        self._on_event, self._on_end = on_event, on_end
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}

    def listen(self) -> None:
        """Open the event stream; Asterisk knows the application from here on."""
        query = urlencode({"app": APPLICATION, "subscribeAll": "true", "api_key": f"{USER}:{PASSWORD}"})
        stream = websocket.create_connection(f"ws://{HOST}:{PORT}/ari/events?{query}", timeout=ANSWER_WITHIN, suppress_origin=True)
        stream.settimeout(None)
        threading.Thread(target=self._read, args=(stream,), name="ari-events", daemon=True).start()

    def _read(self, stream: websocket.WebSocket) -> None:
        why = "Asterisk closed the stream"
        try:
            while text := stream.recv():
                self._on_event(json.loads(text))
        except (OSError, websocket.WebSocketException) as error:
            why = str(error)
        log(f"ARI events ended: {why}")
        self._on_end(why)

    def request(self, verb: str, path: str, body: Mapping[str, Any] | None = None, **query: object) -> Any:
        """What Asterisk answers; Refused with its own words where it does not do it."""
        target = "/ari/" + "/".join(quote(part, safe="") for part in path.split("/")) + ("?" + urlencode(query) if query else "")
        connection = HTTPConnection(HOST, PORT, timeout=ANSWER_WITHIN)
        try:
            connection.request(verb, target, json.dumps(body) if body is not None else None, self._headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        finally:
            connection.close()
        if answer.status >= 400:
            raise AriRefused(answer.status, f"{verb} {path}: {answer.status} {text.strip()[:300]}")
        return json.loads(text) if text else None

    def drop(self, path: str, **query: object) -> None:
        """Remove something; that it is gone already is as good."""
        try:
            self.request("DELETE", path, **query)
        except AriRefused as error:
            if error.status != NOT_FOUND:
                raise

    def put_object(self, kind: str, name: str, fields: Mapping[str, str]) -> None:
        """Create or change one of res_pjsip's configuration objects."""
        body = {"fields": [{"attribute": attribute, "value": value} for attribute, value in fields.items()]}
        self.request("PUT", f"asterisk/config/dynamic/res_pjsip/{kind}/{name}", body)

    def drop_object(self, kind: str, name: str) -> None:
        """Remove one; a registration takes its binding back."""
        self.drop(f"asterisk/config/dynamic/res_pjsip/{kind}/{name}")


class AriRefused(Refused):
    """Asterisk said no."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status
