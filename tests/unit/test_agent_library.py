"""The shared agent library, driven as the lab drives it: a process with the protocol on its stdin and stdout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

LIBRARY = Path(__file__).parents[2] / "images/shared/agent"

AGENT = """
import os, time
from siplab_agent import Agent, Refused, agent, log

agent.ANSWER_WITHIN = 1.0

class Toy(Agent):
    vendor = "toy"
    capabilities = frozenset({"udp", "invite", "busy"})

    def start(self):
        print("python prints"); os.system("echo a child prints")
        self.kid = self.spawn(["sh", "-c", "echo up; exec sleep 9"], name="kid")

    def version(self): return "1.0"
    def stop(self): pass
    def reset(self): pass
    def account_add(self, account): pass
    def account_remove(self, account): pass
    def call_invite(self, call, target, offer):
        if "refuse" in target: raise Refused("no\\nway")
        if "crash" in target: raise ValueError("boom")
        self.call_state(call, "ringing", 180)
    def call_reject(self, call, code, reason): pass
    def call_bye(self, call):
        self.call_state(call, "terminated", 200); self.call_state(call, "terminated", 500)
    def call_cancel(self, call): time.sleep(20)
    def unregister(self, account):
        self.emit("fault", what="hanging"); time.sleep(30)

Toy.main()
"""

ACCOUNT = {
    "aor": "sip:alice@atlanta.example",
    "username": "alice",
    "password": "x",
    "proxy": "sip:198.18.0.2;transport=udp",
    "transport": "udp",
    "media": "rtp",
}


def environment(config: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(LIBRARY), "SIPLAB_AGENT_JSON": str(config), "PYTHONDONTWRITEBYTECODE": "1"}


class Toy:
    """A toy agent in a process."""

    def __init__(self, folder: Path, script: str = AGENT) -> None:
        config = {"contract": 1, "element": "alice", "ipv4": "127.0.0.1", "recordings": str(folder)}
        (folder / "agent.json").write_text(json.dumps(config))
        (folder / "toy.py").write_text(script)
        self.process = subprocess.Popen(
            [sys.executable, str(folder / "toy.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "log").open("wb"),
            env=environment(folder / "agent.json"),
        )
        self.seen: list[dict[str, Any]] = []
        self._next = 0

    def read(self) -> dict[str, Any]:
        assert self.process.stdout
        self.seen.append(json.loads(self.process.stdout.readline()))
        return self.seen[-1]

    def write(self, line: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._next += 1
        self.write(json.dumps({"id": self._next, "method": method, "params": params}).encode())
        while self.read().get("id") != self._next:
            pass
        return self.seen[-1]

    def error(self, method: str, **params: Any) -> tuple[str, str]:
        error = self.ask(method, **params)["error"]
        return error["code"], error["message"]

    def event(self, match: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while not match(self.read()):
            pass
        return self.seen[-1]


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    yield from run(tmp_path)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """One agent for all tests that leave no trace in it."""
    yield from run(tmp_path_factory.mktemp("calm"))


def run(folder: Path, script: str = AGENT) -> Iterator[Toy]:
    toy = Toy(folder, script)
    yield toy
    toy.process.kill()
    toy.process.wait()
    for stream in (toy.process.stdin, toy.process.stdout):
        assert stream
        stream.close()


def test_hello_and_stdout_is_protected(toy: Toy, tmp_path: Path) -> None:
    answer = toy.ask("hello")
    assert answer["result"] == {"contract": 1, "vendor": "toy", "version": "1.0", "capabilities": ["busy", "invite", "udp"]}
    assert len(toy.seen) == 1
    assert b"a child prints" in (tmp_path / "log").read_bytes()


@pytest.mark.parametrize(
    ("method", "params", "code", "word"),
    [
        ("no.such", {}, "unsupported", "no.such"),
        ("subscribe", {}, "unsupported", "subscribe"),
        ("call.hold", {"call": "c1"}, "unsupported", "call.hold"),
        ("account.add", {**ACCOUNT, "transport": "sctp"}, "bad-params", "transport"),
        ("account.add", {**ACCOUNT, "aor": "sip:a b@c"}, "bad-params", "aor"),
        ("account.add", {**ACCOUNT, "expires": True}, "bad-params", "expires"),
        ("account.add", {**ACCOUNT, "transport": "tls"}, "unsupported", "tls"),
        ("account.add", {**ACCOUNT, "media": "sdes"}, "unsupported", "srtp-sdes"),
        ("account.add", {**ACCOUNT, "family": 6}, "unsupported", "ipv6"),
        ("account.add", {**ACCOUNT, "aor": "sips:alice@atlanta.example"}, "unsupported", "sips"),
        ("account.add", {**ACCOUNT, "media": "zrtp"}, "unsupported", "zrtp"),
        ("account.add", {**ACCOUNT, "ice": True}, "unsupported", "ice"),
        ("account.add", {**ACCOUNT, "outbound": True}, "unsupported", "outbound"),
        ("account.add", {**ACCOUNT, "proxies": ["sip:e1.example:5060", "sip:e2.example:5060"]}, "unsupported", "outbound-flows"),
        ("account.add", {**ACCOUNT, "proxies": []}, "bad-params", "proxies"),
        ("account.add", {**ACCOUNT, "proxies": ["sip:e1.example", "sip:e1.example"]}, "bad-params", "proxies"),
        ("account.add", {**ACCOUNT, "proxies": [7]}, "bad-params", "proxies"),
        ("account.add", {**ACCOUNT, "stun": "stun:198.18.0.9:3478"}, "unsupported", "stun"),
        ("account.add", {**ACCOUNT, "turn": "turn:198.18.0.9:3478;transport=udp"}, "unsupported", "turn"),
        ("account.add", {**ACCOUNT, "turn": "turn:198.18.0.9"}, "bad-params", "turn"),
        ("account.add", {**ACCOUNT, "ice": 1}, "bad-params", "ice"),
        ("account.add", {name: value for name, value in ACCOUNT.items() if name != "password"}, "bad-params", "password"),
        ("account.remove", {"account": "a7"}, "unknown-account", "a7"),
        ("call.bye", {"call": "c7"}, "unknown-call", "c7"),
        ("call.bye", {"call": 7}, "bad-params", "call"),
        ("call.reject", {"call": "c1", "code": 302}, "bad-params", "code"),
        ("call.reject", {"call": "c1", "code": 603}, "unsupported", "reject-any"),
        ("call.reject", {"call": "c1", "code": 486}, "unknown-call", "c1"),
    ],
)
def test_errors_name_what_is_wrong(calm: Toy, method: str, params: dict[str, Any], code: str, word: str) -> None:
    found, message = calm.error(method, **params)
    assert found == code
    assert word in message


BROKEN = [b"[", b"[]", b'"x"', b'{"method":"hello"}', b'{"id":1,"method":3}', b'{"id":1,"method":"hello","params":[1]}']


@pytest.mark.parametrize("line", BROKEN)
def test_a_broken_request_is_answered(calm: Toy, line: bytes) -> None:
    calm.write(line)
    assert calm.read()["error"]["code"] == "bad-params"


def test_a_line_too_long_is_refused_and_the_next_one_served(calm: Toy) -> None:
    calm.write(b'{"id":1,"method":"' + b"x" * 70000 + b'"}')
    assert calm.read()["error"]["code"] == "bad-params"
    assert "result" in calm.ask("hello")


def test_the_answer_comes_before_events_of_the_call_it_names(toy: Toy) -> None:
    account = toy.ask("account.add", **ACCOUNT)["result"]["account"]
    call = toy.ask("call.invite", account=account, target="sip:bob@biloxi.example")["result"]["call"]
    event = toy.read()
    assert (event["call"], event["state"], event["code"], event["source"]) == (call, "ringing", 180, "native")
    assert abs(event["t"] - time.time()) < 5


def test_terminated_is_told_once(toy: Toy) -> None:
    account = toy.ask("account.add", **ACCOUNT)["result"]["account"]
    call = toy.ask("call.invite", account=account, target="sip:bob@biloxi.example")["result"]["call"]
    toy.ask("call.bye", call=call)
    assert toy.error("call.bye", call=call)[0] == "unknown-call"
    toy.ask("reset")
    ended = [message for message in toy.seen if message.get("state") == "terminated"]
    assert [event["code"] for event in ended] == [200]


def test_reset_ends_calls_before_it_is_answered_and_forgets_accounts(toy: Toy) -> None:
    account = toy.ask("account.add", **ACCOUNT)["result"]["account"]
    call = toy.ask("call.invite", account=account, target="sip:bob@biloxi.example")["result"]["call"]
    assert toy.ask("stats")["result"] == {"calls": [call]}
    toy.ask("reset")
    assert toy.seen[-2]["state"] == "terminated"
    assert toy.ask("stats")["result"] == {"calls": []}
    assert toy.error("call.invite", account=account, target="sip:b@c")[0] == "unknown-account"


def test_a_refused_invite_leaves_no_call(toy: Toy) -> None:
    account = toy.ask("account.add", **ACCOUNT)["result"]["account"]
    assert toy.error("call.invite", account=account, target="sip:refuse@x.example") == ("vendor", "no way")
    assert toy.error("call.invite", account=account, target="sip:crash@x.example")[0] == "vendor"
    assert toy.ask("stats")["result"] == {"calls": []}


def test_a_handler_that_hangs_is_answered_for(toy: Toy) -> None:
    account = toy.ask("account.add", **ACCOUNT)["result"]["account"]
    call = toy.ask("call.invite", account=account, target="sip:bob@biloxi.example")["result"]["call"]
    begun = time.monotonic()
    assert toy.error("call.cancel", call=call)[0] == "vendor"
    assert time.monotonic() - begun < 15  # the handler takes 20


def test_the_software_dying_is_a_fault_then_terminated(toy: Toy) -> None:
    account = toy.ask("account.add", **ACCOUNT)["result"]["account"]
    call = toy.ask("call.invite", account=account, target="sip:bob@biloxi.example")["result"]["call"]
    children = Path(f"/proc/{toy.process.pid}/task/{toy.process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGSEGV)
    fault = toy.event(lambda message: message.get("event") == "fault")
    assert fault["signal"] == signal.SIGSEGV
    assert "SIGSEGV" in fault["what"]
    ended = toy.event(lambda message: message.get("state") == "terminated")
    assert ended["call"] == call
    assert toy.error("call.invite", account=account, target="sip:b@c")[0] == "fault"
    assert "result" in toy.ask("shutdown")
    assert toy.process.wait(5) == 0


def test_shutdown_is_answered_and_exits_0(toy: Toy) -> None:
    assert toy.ask("shutdown")["result"] == {}
    assert toy.process.wait(5) == 0


def test_eof_ends_it(toy: Toy) -> None:
    toy.ask("hello")
    assert toy.process.stdin
    toy.process.stdin.close()
    assert toy.process.wait(5) == 0


def test_sigterm_ends_it(toy: Toy) -> None:
    toy.ask("hello")
    toy.process.terminate()
    assert toy.process.wait(5) == 0


def test_sigterm_ends_it_even_while_a_handler_hangs(toy: Toy) -> None:
    account = toy.ask("account.add", **ACCOUNT)["result"]["account"]
    toy.write(json.dumps({"id": 99, "method": "unregister", "params": {"account": account}}).encode())
    toy.event(lambda message: message.get("what") == "hanging")
    toy.process.terminate()
    assert toy.process.wait(10) == 1  # not clean, and said so


def test_a_missing_configuration_is_a_fault_and_exit_2(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(AGENT)
    command = [sys.executable, str(tmp_path / "toy.py")]
    done = subprocess.run(command, input=b"", capture_output=True, env=environment(tmp_path / "none.json"), timeout=10, check=False)
    assert done.returncode == 2
    assert "none.json" in json.loads(done.stdout)["what"]


def test_a_request_that_the_watchdog_answered_holds_no_events_back() -> None:
    """It runs in a thread of its own and may come just before the handler: nobody would let the events go."""
    code = """
import json, os
from siplab_agent.faults import Refused
from siplab_agent.request import Request
from siplab_agent.wire import Wire
read, write = os.pipe()
wire = Wire(0, write)
request = Request(wire, b'{"id": 1, "method": "call.invite"}')
request.fail(Refused("no answer in time"))
assert not request.begin()
wire.event({"event": "fault"})
os.set_blocking(read, False)
assert [json.loads(line).get("event") for line in os.read(read, 4096).splitlines()] == [None, "fault"]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20, env={**os.environ, "PYTHONPATH": str(LIBRARY)})


REAPER = """
import os
from siplab_agent import Agent, agent

agent.os.getpid = lambda: 1  # what it is in a container: then it reaps

class Toy(Agent):
    vendor = "toy"
    def reset(self): pass
    def stats(self, call): return {"said": self.output_of(["sh", "-c", "echo so; exit $(cat $CODE)"])}

Toy.main()
"""


def test_the_exit_status_of_a_command_is_not_reaped_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODE", str(tmp_path / "code"))
    (tmp_path / "code").write_text("3")
    for toy in run(tmp_path, REAPER):
        for _ in range(20):
            assert toy.error("stats") == ("vendor", "sh -c echo so; exit $(cat $CODE): ended with 3: so")
        (tmp_path / "code").write_text("0")
        assert toy.ask("stats")["result"]["said"] == "so"
