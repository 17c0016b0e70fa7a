"""Agents and how to talk to them, for the agent contract's tests: the fake as a process, a vendor's as a container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from itertools import count
from pathlib import Path
from typing import Any

from lab.agents.events import Event, EventLog
from lab.errors import RuntimeFault
from lab.plan.model import Element, Interface
from lab.render.agent import TLS_DIR, agent_json
from lab.render.pki import Authority
from lab.runtime.base import Attachment, Channel, ContainerSpec, FileContent
from lab.runtime.docker import DockerRuntime
from lab.runtime.labels import Identity
from lab.runtime.lease import lease_networks
from lab.runtime.reaper import remove_lab
from lab.spec.vendor import Vendor

ROOT = Path(__file__).resolve().parents[2]
ANSWER_WITHIN = 10.0
END_WITHIN = 5.0
MAX_LINE = 64 * 1024

ERRORS = {"unsupported", "bad-params", "unknown-account", "unknown-call", "bad-state", "vendor", "fault"}
SOURCES = {"native", "polled", "log"}
EVENTS = {
    "registration": {"account", "state"},
    "call.incoming": {"call", "account", "from"},
    "call.state": {"call", "state"},
    "call.media": {"call"},
    "call.dtmf": {"call", "digit"},
    "message.received": {"from", "body"},
    "message.status": {"message", "ok"},
    "transfer": {"call", "state"},
    "notify": {"subscription", "state"},
    "media.recorded": {"call", "recording", "file", "seconds"},
    "fault": {"what"},
}

# -- the lab's side -----------------------------------------------------------------------------------------------------------------------


def fault_of(line: bytes) -> str:
    """What is wrong with a line of an agent's output, or nothing."""
    try:
        message = json.loads(line)
    except ValueError:
        return "not JSON"
    if len(line) > MAX_LINE or not isinstance(message, dict):
        return "too long" if len(line) > MAX_LINE else "no object"
    return fault_of_event(message) if "event" in message else fault_of_answer(message)


def fault_of_event(message: dict[str, Any]) -> str:
    if message["event"] not in EVENTS:
        return "unknown event"
    missing = EVENTS[message["event"]] - message.keys()
    if missing or not isinstance(message.get("t"), float) or message.get("source") not in SOURCES:
        return f"missing: {missing}" if missing else "t or source is wrong"
    return ""


def fault_of_answer(message: dict[str, Any]) -> str:
    result, error = message.get("result"), message.get("error")
    if "id" not in message or isinstance(result, dict) == isinstance(error, dict):
        return "not exactly one of result and error, or no id"
    wrong = isinstance(error, dict) and (error.get("code") not in ERRORS or not str(error.get("message")).strip())
    return "not an error of the contract" if wrong else ""


class Talk:
    """Stricter than the lab's own client: every line is kept, and judged by itself."""

    def __init__(self, channel: Channel) -> None:
        self.heard = EventLog()
        self.wrong: list[str] = []
        self.channel = channel
        self._ids = count(1)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.channel.lines():
            if wrong := fault_of(line):
                self.wrong.append(f"{wrong}: {line[:200]!r}")
            else:
                message = json.loads(line)
                self.heard.append(Event(str(message.get("event", "answer")), message, time.time()))
        self.heard.close("end of output")

    def send(self, method: str, **params: object) -> int:
        number = next(self._ids)
        self.channel.send(json.dumps({"id": number, "method": method, "params": params}).encode())
        return number

    def answer(self, number: int | str | None, *, within: float = ANSWER_WITHIN, start: int = 0) -> dict[str, Any]:
        event = self.heard.wait(lambda e: e.matches("answer", id=number), within=within, start=start)
        assert event is not None, f"request {number!r} was not answered within {within:g} s; {self.heard.closed or self.wrong}"
        return event.data

    def result(self, method: str, *, within: float = ANSWER_WITHIN, **params: object) -> dict[str, Any]:
        answer = self.answer(self.send(method, **params), within=within)
        assert "result" in answer, f"{method} {params}: {answer['error']}"
        return dict(answer["result"])

    def error(self, method: str, **params: object) -> tuple[str, str]:
        answer = self.answer(self.send(method, **params))
        assert "error" in answer, f"{method} {params} was accepted: {answer['result']}"
        return answer["error"]["code"], answer["error"]["message"]

    def answers(self) -> list[dict[str, Any]]:
        return [event.data for event in self.heard if event.name == "answer"]

    def twice(self) -> list[object]:
        """Ids that were answered more than once."""
        return [number for number, times in Counter(str(a["id"]) for a in self.answers() if a["id"] is not None).items() if times > 1]


# -- agents -------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """Who is held to the contract, and what it says it can do. Without a manifest it is the fake."""

    name: str
    flavour: str
    capabilities: frozenset[str]
    manifest: Vendor | None = None


@dataclass(frozen=True)
class Agent:
    """An agent that runs. `nobody` are addresses, of both families, where nobody answers."""

    candidate: Candidate
    talk: Talk
    terminate: Callable[[], None]
    exit_code: Callable[[], int | None]
    log: Callable[[], str]
    nobody: tuple[str, str]

    def account(self, **changes: object) -> dict[str, object]:
        """Parameters of `account.add`; None leaves one out."""
        transport = changes.get("transport", "udp")
        host = f"[{self.nobody[1]}]" if changes.get("family") == 6 else self.nobody[0]
        params = {
            "aor": "sip:alice@atlanta.example",
            "username": "alice",
            "password": "secret",
            "proxy": f"sip:{host}:5060;transport={transport}",
            "transport": "udp",
            "media": "rtp",
            **changes,
        }
        return {name: value for name, value in params.items() if value is not None}

    def add(self, **changes: object) -> str:
        return str(self.talk.result("account.add", **self.account(**changes))["account"])

    def call(self) -> str:
        """A call that nobody will answer."""
        return str(self.talk.result("call.invite", account=self.add(), target="sip:bob@biloxi.example")["call"])

    def ended(self) -> int | None:
        """Its exit code; None where it has not ended in time."""
        deadline = time.monotonic() + END_WITHIN
        while (code := self.exit_code()) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        self.talk.heard.wait(lambda _: False, within=1.0)  # until the end of its output
        return code


class Pipe:
    """A process's standard streams as a Channel."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout

    def send(self, line: bytes) -> None:
        try:
            self._in.write(line + b"\n")
            self._in.flush()
        except (OSError, ValueError) as error:
            raise RuntimeFault(f"cannot write to stdin: {error}") from error

    def lines(self) -> Iterator[bytes]:
        for line in self._out:
            yield line.rstrip(b"\n")

    def close(self) -> None:
        self._in.close()


def element(candidate: Candidate, ipv4: str, ipv6: str) -> Element:
    place = Interface("internet", IPv4Address(ipv4), IPv6Address(ipv6))
    return Element("alice", "user-agent", candidate.name, candidate.flavour, (place,), "alice.atlanta.example", tone_hz=440)


class Processes:
    """Starts the fake."""

    def __init__(self, candidate: Candidate, folder: Path) -> None:
        self._candidate = candidate
        self._folder = folder
        self._all: list[subprocess.Popen[bytes]] = []

    def start(self) -> Agent:
        config, log = self._folder / "agent.json", self._folder / "log.txt"
        config.write_text(agent_json(element(self._candidate, "127.0.0.1", "::1"), (), keylog=False))
        library = {"PYTHONPATH": str(ROOT / "images/shared/agent"), "SIPLAB_AGENT_JSON": str(config), "PYTHONDONTWRITEBYTECODE": "1"}
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("fake_agent.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **library},
            )
        self._all.append(process)
        return Agent(
            self._candidate, Talk(Pipe(process)), process.terminate, process.poll, partial(log.read_text, "utf-8"), ("127.0.0.2", "::1")
        )

    def close(self) -> None:
        for process in self._all:
            process.kill()
            process.wait(5)


class Containers:
    """Starts a vendor's image on a network of its own, as a lab does but with nobody else there."""

    def __init__(self, candidate: Candidate) -> None:
        assert candidate.manifest is not None
        self._candidate, self._manifest = candidate, candidate.manifest
        self._runtime, self._me = DockerRuntime(), Identity()
        (self._lease,) = lease_networks(self._runtime, self._me, ["internet"])
        self._numbers = count(30)

    def start(self) -> Agent:
        number, spec = next(self._numbers), self._lease.spec
        place = Attachment(spec.name, str(spec.ipv4[number]), str(spec.ipv6[number]))
        handle = self._runtime.create(
            ContainerSpec(
                name=self._me.name(f"agent{number}"),
                image=f"siplab/{self._candidate.name}:{self._candidate.flavour}",
                networks=(place,),
                command=self._manifest.command or None,
                environment=self._manifest.environment,
                capabilities=self._manifest.capabilities,
                labels=self._me.labels(),
                stdin=True,
                memory_mb=self._manifest.memory_mb,
                pids=self._manifest.pids,
            )
        )
        config = agent_json(element(self._candidate, place.ipv4, place.ipv6), (str(spec.ipv4[10]),), keylog=False)
        resolv = f"nameserver {spec.ipv4[10]}\noptions timeout:2 attempts:2\n"
        files = {
            "/etc/siplab/agent.json": config.encode(),
            "/etc/siplab/resolv.conf": resolv.encode(),
            f"{TLS_DIR}/ca.pem": Authority().root,
        }
        self._runtime.put(handle, {path: FileContent(data) for path, data in files.items()})
        channel = self._runtime.attach(handle)
        self._runtime.start(handle)
        return Agent(
            candidate=self._candidate,
            talk=Talk(channel),
            terminate=partial(self._runtime.kill, handle, signal.SIGTERM.name),
            exit_code=lambda: self._runtime.state(handle).exit_code,
            log=lambda: self._runtime.logs(handle, tail=12).decode("utf-8", "replace"),
            nobody=(str(spec.ipv4[20]), str(spec.ipv6[20])),
        )

    def close(self) -> None:
        remove_lab(self._runtime, self._me.selector)
