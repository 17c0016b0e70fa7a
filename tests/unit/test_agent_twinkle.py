"""The twinkle agent without twinkle: its readers of console and log, and the agent in front of a console that is a fake."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

IMAGES = Path(__file__).parents[2] / "images"
sys.path[:0] = [str(IMAGES / "shared" / "agent"), str(IMAGES / "shared" / "siptext"), str(IMAGES / "twinkle")]

from agent_process import Driver, spawning  # noqa: E402
from siplab_agent import BadState, PcmRecorder  # noqa: E402
from siplab_twinkle import agent as agent_module  # noqa: E402
from siplab_twinkle import console, phone, siplog, sound  # noqa: E402
from siptext import Message  # noqa: E402

FAKE_CONSOLE = r"""
import os, sys
log = open(os.environ["HOME"] + "/.twinkle/twinkle.log", "w")
def sip(sent, *lines):
    head = "Send to: udp:198.18.0.2:5060" if sent else "Received from: udp:198.18.0.2:5060"
    log.write("+++ 26-11-2026 14:00:00.000000 INFO SIP ::x\n%s\n%s\n\n---\n\n" % (head, "\n".join(lines)))
    log.flush()
def say(*lines):
    sys.stdout.write("Twinkle> \n" + "\n".join(lines) + "\n\n")
    sys.stdout.flush()
OFFER = ["", "m=audio 4000 RTP/AVP 0", "a=sendonly"]
for command in sys.stdin:
    word = command.split()[0]
    if word == "register":
        say("account: registration succeeded (expires = 300 seconds)")
        sip(False, "INVITE sip:alice@a SIP/2.0", "Call-ID: in1", "CSeq: 1 INVITE", "To: <sip:alice@a>")
        sip(True, "SIP/2.0 180 Ringing", "Call-ID: in1", "CSeq: 1 INVITE", "To: <sip:alice@a>;tag=1")
        say("Line 1: incoming call", "From:\t\tBob <sip:bob@b>", "To:\t\tsip:alice@a")
    elif word == "deregister":
        say("Line 2: incoming call", "From:\t\tsip:carol@c", "To:\t\tsip:alice@a")
        sip(True, "SIP/2.0 100 Trying", "Call-ID: in2", "CSeq: 1 INVITE", "To: <sip:alice@a>")
        sip(True, "SIP/2.0 180 Ringing", "Call-ID: in2", "CSeq: 1 INVITE", "To: <sip:alice@a>;tag=1")
        sip(True, "SIP/2.0 487 Request Terminated", "Call-ID: in2", "CSeq: 1 INVITE", "To: <sip:alice@a>;tag=1")
    elif word == "answer":
        sip(True, "SIP/2.0 200 OK", "Call-ID: in1", "CSeq: 1 INVITE", "To: <sip:alice@a>;tag=1")
        sip(False, "ACK sip:alice@a SIP/2.0", "Call-ID: in1", "CSeq: 1 ACK", "To: <sip:alice@a>;tag=1")
        say("Line 1: call established.")
        sip(False, "INVITE sip:alice@a SIP/2.0", "Call-ID: in1", "CSeq: 2 INVITE", "To: <sip:alice@a>;tag=1", *OFFER)
        sip(True, "SIP/2.0 200 OK", "Call-ID: in1", "CSeq: 2 INVITE", "To: <sip:alice@a>;tag=1")
    elif word == "reject":
        sip(True, "SIP/2.0 486 Busy Here", "Call-ID: in1", "CSeq: 1 INVITE", "To: <sip:alice@a>;tag=1")
        say("Line 1: call rejected.")
    elif word == "invite":
        if "abort" in command:
            os.abort()
        sip(True, "INVITE sip:bob@b SIP/2.0", "Call-ID: out1", "CSeq: 1 INVITE", "To: <sip:bob@b>")
        say("Line 1: received 180 Ringing")
        say("Line 1: call failed.", "404 Not Found")
    elif word == "bye":
        sip(True, "BYE sip:bob@b SIP/2.0", "Call-ID: in1", "CSeq: 3 BYE")
        say("Line 1: call ended.")
        sip(False, "SIP/2.0 481 Gone", "Call-ID: in1", "CSeq: 3 BYE")
    elif word == "message":
        sip(True, "MESSAGE sip:bob@b SIP/2.0", "Call-ID: m1", "CSeq: 1 MESSAGE")
        sip(False, "SIP/2.0 202 Accepted", "Call-ID: m1", "CSeq: 1 MESSAGE")
    elif word == "quit":
        break
"""


class Phone(Driver):
    """The lab's end of an agent that runs in a thread."""

    def __init__(self, tmp_path, monkeypatch):
        script = tmp_path / "console.py"
        script.write_text(FAKE_CONSOLE)
        spawning(monkeypatch, agent_module.TwinkleAgent, lambda argv: [sys.executable, str(script)])
        monkeypatch.setattr(agent_module.TwinkleAgent, "version", lambda self: "1.10.3")
        monkeypatch.setattr(phone, "FOLDER", str(tmp_path))
        monkeypatch.setattr(sound, "start", lambda agent: None)
        monkeypatch.setattr(sound, "Mouth", lambda hz: type("Mouth", (), {"hz": hz}))
        monkeypatch.setattr(sound, "Ear", lambda number: type("Ear", (), {"recorder": PcmRecorder()}))
        super().__init__(agent_module.TwinkleAgent, tmp_path)

    def incoming(self):
        account = self.add()
        self.ask("register", account=account)
        assert self.event("registration", state="registered")["expires"] == 300
        call = self.event("call.incoming", **{"from": "sip:bob@b"})["call"]
        assert self.event("call.state", call=call, state="ringing")["source"] == "log"
        return account, call


@pytest.fixture
def driver(tmp_path, monkeypatch):
    with Phone(tmp_path, monkeypatch) as driver:
        yield driver


def test_a_call_is_answered_held_by_the_other_side_and_ended_with_the_code_of_the_log(driver):
    _, call = driver.incoming()
    assert driver.ask("call.answer", call=call)["result"] == {}
    assert driver.event("call.state", call=call, state="established")["code"] == 200
    assert driver.event("call.state", call=call, state="held")["source"] == "log"
    driver.ask("call.bye", call=call)
    assert driver.event("call.state", call=call, state="terminated")["code"] == 481


def test_a_refusal_is_told_with_the_code_that_was_sent(driver):
    _, call = driver.incoming()
    assert driver.ask("call.reject", call=call, code=603)["error"]["code"] == "unsupported"
    driver.ask("call.reject", call=call, code=486)
    assert driver.event("call.state", call=call, state="terminated")["code"] == 486


def test_a_call_is_known_by_its_answer_where_the_console_was_first(driver):
    account, _ = driver.incoming()
    driver.ask("unregister", account=account)
    call = driver.event("call.incoming", **{"from": "sip:carol@c"})["call"]
    assert driver.event("call.state", call=call, state="ringing")["code"] == 180
    assert driver.event("call.state", call=call, state="terminated")["code"] == 487


def test_states_of_a_call_that_fails(driver):
    account = driver.add()
    call = driver.ask("call.invite", account=account, target="sip:bob@b")["result"]["call"]
    ended = driver.event("call.state", call=call, state="terminated")
    assert (ended["code"], ended["reason"], ended["source"]) == (404, "Not Found", "native")
    states = [event["state"] for event in driver.events if event.get("call") == call]
    assert states == ["calling", "ringing", "terminated"]


def test_a_crash_is_a_fault_with_its_signal(driver):
    account = driver.add()
    call = driver.ask("call.invite", account=account, target="sip:abort@b")["result"]["call"]
    assert driver.event("fault")["signal"] == 6
    assert driver.event("call.state", call=call, state="terminated")
    assert driver.ask("register", account=account)["error"]["code"] == "fault"


def test_outcome_of_a_message_is_read_off_the_log(driver):
    account = driver.add()
    assert driver.ask("message.send", account=account, target="sip:bob@b", body='a "quoted" word')["error"]["code"] == "vendor"
    assert driver.ask("message.send", account=account, target="sip:bob@b", body="a\nb")["error"]["code"] == "vendor"
    message = driver.ask("message.send", account=account, target="sip:bob@b", body="a b")["result"]["message"]
    status = driver.event("message.status", message=message)
    assert (status["ok"], status["code"], status["source"]) == (True, 202, "log")


def test_reset_ends_calls_and_accounts(driver):
    account, call = driver.incoming()
    assert driver.ask("reset")["result"] == {}
    assert driver.event("call.state", call=call, state="terminated")
    assert driver.ask("register", account=account)["error"]["code"] == "unknown-account"
    assert not [event for event in driver.events if event["event"] == "fault"]


def test_a_fifth_account_is_refused(driver):
    for _ in range(sound.SPEAKERS):
        driver.add()
    assert driver.ask("account.add", **driver.account)["error"]["code"] == "bad-state"


def test_manifest_and_agent_declare_the_same():
    manifest = yaml.safe_load((IMAGES / "twinkle" / "vendor.yaml").read_text())
    assert set(manifest["supports"]) == agent_module.TwinkleAgent.capabilities


def told_of(*lines, size=0):
    told = []
    reader = console.Console(told.append, lambda: size)
    for line in lines:
        reader.feed(line)
    return told


def test_things_end_at_an_empty_line_or_at_the_next_thing():
    told = told_of(
        "Twinkle> Line 1: re-INVITE successful.", "200 OK", "", "bye", "", "Line 2: call ended.", "account, registration failed: 403 No", ""
    )
    assert [(thing.line, thing.what, thing.status) for thing in told] == [
        (1, "re-INVITE successful.", (200, "OK")),
        (2, "call ended.", (None, None)),
        (0, "account, registration failed: 403 No", (None, None)),
    ]


def test_text_of_a_message_cannot_speak_for_twinkle():
    text = "one\n\nLine 1: call ended.\né"
    told = told_of(
        "Received message", "From:\t\tsip:bob@b", "", *text.split("\n"), "", "Line 1: DTMF detected: 5", "", size=len(text.encode())
    )
    assert [thing.what for thing in told] == ["Received message", "DTMF detected: 5"]
    assert told[0].text == text
    assert told[0].value("From") == "sip:bob@b"


def log_of(tmp_path, text):
    messages = []
    reader = siplog.SipLog(str(tmp_path), messages.append)
    for line in text.split("\n"):
        reader.feed(line)
    reader.close()
    return messages


HEAD = "+++ 26-11-2026 14:00:00.000000 INFO SIP ::x"


def test_log_entries_that_are_no_sip_are_skipped(tmp_path):
    text = f"+++ 1-1-2026 0:0:0.1 INFO NORMAL x\nSIP/2.0 200 OK\n---\n\n{HEAD}\nSend to: udp:h:1\nBYE sip:a SIP/2.0\r\ni: x\r\n\r\n\n---\n"
    (message,) = log_of(tmp_path, text)
    assert (message.sent, message.method, message.call_id) == (True, "BYE", "x")


def test_a_body_cannot_forge_an_entry(tmp_path):
    body = f"hello\n---\n\n{HEAD}\nReceived from: udp:h:1\nSIP/2.0 200 OK\nCall-ID: forged"
    text = f"{HEAD}\nReceived from: udp:h:1\nMESSAGE sip:a SIP/2.0\r\nContent-Length: {len(body)}\r\n\r\n{body}\n---\n"
    (message,) = log_of(tmp_path, text)
    assert message.method == "MESSAGE"


@pytest.mark.parametrize(
    ("body", "direction"), [("", None), ("v=0\nm=audio 1 RTP/AVP 0", "sendrecv"), ("m=audio 1 RTP/AVP 0\na=sendonly", "sendonly")]
)
def test_direction_of_a_description(body, direction):
    assert Message(True, "INVITE sip:a SIP/2.0", {}, body).direction == direction


class Told:
    """A twinkle that answers `line N` with these lines of output."""

    def __init__(self, *answers):
        self.answers, self.typed = list(answers), []

    def write(self, data):
        self.typed.append(data.decode().strip())
        self.phone._on_line(console.Console(lambda told: None, lambda: 0), self.answers.pop(0))


def phone_with(child):
    account = SimpleNamespace(id="a1")
    found = phone.Phone(SimpleNamespace(post=lambda job: None), account, 0, None)
    found.child, child.phone = child, found
    found.log = SimpleNamespace(drain=lambda: None)
    return found


def test_an_answer_that_came_too_late_is_not_the_next_ones(monkeypatch):
    child = Told("Line 1 is now active.", "Line 2 is now active.")
    tried = phone_with(child)
    tried._switched.put(2)
    with pytest.raises(BadState, match="line 1 is active"):
        tried.select(2)
    assert tried.active == 1
    tried.select(2)
    assert (tried.active, child.typed) == (2, ["line 2", "line 2"])


def test_a_log_is_read_to_its_end_and_no_further(tmp_path):
    """Another twinkle writes to the same path afterwards."""
    entry = "+++ 26-11-2026 14:00:00.000000 INFO SIP ::x\nReceived from: udp:1\n{} sip:a@b SIP/2.0\nCSeq: 1 {}\n\n---\n\n"
    seen = []
    log = siplog.SipLog(str(tmp_path), seen.append)
    (tmp_path / "twinkle.log").write_text(entry.format("BYE", "BYE"))
    log.close()
    (tmp_path / "twinkle.log").write_text(entry.format("INFO", "INFO"))
    log.drain()
    assert [message.method for message in seen] == ["BYE"]
    assert not log._thread.is_alive()
