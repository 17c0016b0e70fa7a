"""The sipp agent without SIPp: its scenarios as files, and the agent in front of a SIPp that is a fake."""

import itertools
import re
import socket
import sys
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

IMAGES = Path(__file__).parents[2] / "images"
sys.path[:0] = [str(IMAGES / "shared" / "agent"), str(IMAGES / "shared" / "siptext"), str(IMAGES / "sipp")]

from agent_process import ACCOUNT, Driver, spawning  # noqa: E402
from siplab_sipp import agent as agent_module  # noqa: E402
from siplab_sipp import process, scenarios, xml  # noqa: E402

FAKE_SIPP = r"""
import os, re, socket, sys
argv = sys.argv[1:]
port = int(argv[-1].rpartition(":")[2])
incoming = "callee.xml" in " ".join(argv)
if incoming:
    link = socket.create_connection(("127.0.0.1", port))
else:
    with socket.create_server(("127.0.0.1", port)) as server:
        link = server.accept()[0]
def tell(call, event, *lines):
    link.sendall("\r\n".join([f"Call-ID: {call}", f"Event: {event}", "Message:", *lines]).encode() + b"\x1b")
SDP = ["", "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0", "m=audio 9 RTP/AVP 0", "a=sendrecv"]
if incoming:
    tell("in1", "incoming", "INVITE sip:a SIP/2.0", "From: <sip:bob@b>;tag=1", "To: <sip:alice@a>", *SDP)
rest = b""
while data := link.recv(65536):
    *parts, rest = (rest + data).split(b"\x1b")
    for part in parts:
        text = part.decode()
        call, do = re.search(r"Call-ID: (\S+)\r\n", text)[1], re.search(r"Do: (\S+)", text)[1]
        if do == "register":
            refused = "Line: 60" in text
            status = ["SIP/2.0 403 No"] if refused else ["SIP/2.0 200 OK", "Contact: <sip:a>;expires=300"]
            tell(call, "over", *status)
        elif do == "invite" and "abort" in text:
            link.sendall(f"call-id: {call}\r\ninternal-cmd: abort_call\r\n\r\n".encode() + b"\x1b")
        elif do == "invite" and "die" in text:
            os.abort()
        elif do == "invite":
            tell(call, "ringing", "SIP/2.0 183 Progress")
            tell(call, "answered", "SIP/2.0 200 OK", *SDP)
        elif do == "answer":
            tell(call, "acknowledged", "ACK sip:a SIP/2.0")
        elif do == "bye":
            tell(call, "gone", "SIP/2.0 481 Gone")
        elif do.isdigit():
            tell(call, "refused", "SIP/2.0 " + re.search(r"Line: ([^\r]*)", text)[1])
        elif do == "message":
            tell(call, "over", "SIP/2.0 202 Accepted")
"""


class Phone(Driver):
    """The lab's end of an agent that runs in a thread."""

    def __init__(self, tmp_path, monkeypatch):
        script = tmp_path / "sipp.py"
        script.write_text(FAKE_SIPP)
        spawning(monkeypatch, agent_module.SippAgent, lambda argv: [sys.executable, str(script), *argv])
        monkeypatch.setattr(agent_module.SippAgent, "version", lambda self: "3.7.3")
        monkeypatch.setattr(process, "FOLDER", tmp_path)
        account = {**ACCOUNT, "proxy": "sip:127.0.0.1:5060;transport=udp"}
        super().__init__(agent_module.SippAgent, tmp_path, "127.0.0.1", (42000, 42098), account=account)


@pytest.fixture
def driver(tmp_path, monkeypatch):
    with Phone(tmp_path, monkeypatch) as driver:
        yield driver


def test_registration_is_told_with_code_and_expiry(driver):
    account = driver.add()
    driver.ask("register", account=account)
    assert driver.event("registration", state="registered")["expires"] == 300
    driver.ask("register", account=account, expires=60)
    assert driver.event("registration", state="failed")["code"] == 403
    driver.ask("unregister", account=account)
    assert driver.event("registration", state="unregistered")["code"] == 200


def test_a_call_out_and_its_media(driver):
    account = driver.add()
    call = driver.ask("call.invite", account=account, target="sip:bob@b")["result"]["call"]
    assert driver.event("call.state", call=call, state="ringing")["code"] == 183
    assert driver.event("call.state", call=call, state="established")["code"] == 200
    assert driver.event("call.media", call=call)["codec"] == "PCMU"
    driver.ask("call.bye", call=call)
    assert driver.event("call.state", call=call, state="terminated")["code"] == 481


def test_a_call_in_is_answered_or_refused_with_the_code_wanted(driver):
    driver.add()
    call = driver.event("call.incoming", **{"from": "sip:bob@b"})["call"]
    assert driver.ask("call.reject", call=call, code=418)["error"]["code"] == "vendor"
    driver.ask("call.reject", call=call, code=603, reason="No")
    ended = driver.event("call.state", call=call, state="terminated")
    assert (ended["code"], ended["reason"]) == (603, "No")
    driver.add()
    call = next(event["call"] for event in iter(lambda: driver.event("call.incoming", account="a2"), None))
    assert driver.ask("call.answer", call=call)["result"] == {}
    assert driver.event("call.state", call=call, state="established")


def test_a_call_that_sipp_aborts_ends_without_a_code(driver):
    account = driver.add()
    call = driver.ask("call.invite", account=account, target="sip:abort@b")["result"]["call"]
    ended = driver.event("call.state", call=call, state="terminated")
    assert "code" not in ended
    assert "aborted" in ended["reason"]


def test_a_crash_is_a_fault_with_its_signal(driver):
    account = driver.add()
    driver.ask("call.invite", account=account, target="sip:die@b")
    assert driver.event("fault")["signal"] == 6


def test_a_reset_ends_calls_with_the_answer_to_their_bye(driver):
    account = driver.add()
    call = driver.ask("call.invite", account=account, target="sip:bob@b")["result"]["call"]
    assert driver.event("call.state", call=call, state="established")
    assert driver.ask("reset")["result"] == {}
    assert driver.event("call.state", call=call, state="terminated")["code"] == 481


def test_message_and_reset(driver):
    account = driver.add()
    message = driver.ask("message.send", account=account, target="sip:bob@b", body="a\nb")["result"]["message"]
    assert driver.event("message.status", message=message)["code"] == 202
    assert driver.ask("message.send", account=account, target="sip:bob@b", body="\x1b")["error"]["code"] == "vendor"
    assert driver.ask("reset")["result"] == {}
    assert not [event for event in driver.events if event["event"] == "fault"]


def test_manifest_and_agent_declare_the_same():
    manifest = yaml.safe_load((IMAGES / "sipp" / "vendor.yaml").read_text())
    assert set(manifest["supports"]) == agent_module.SippAgent.capabilities


@pytest.fixture(params=[scenarios.callee, scenarios.caller])
def text(request):
    return request.param()


def test_scenarios_lead_to_labels_that_exist_once_and_fit(text):
    root = ET.fromstring(text)
    labels = [element.get("id") for element in root.iter("label")]
    assert len(labels) == len(set(labels))
    assert {element.get("next") for element in root if element.get("next")} <= set(labels)
    assert len(text) < xml.LONGEST


def test_what_is_sent_again_waits_for_a_reception_below_it(text):
    elements = [element for element in ET.fromstring(text) if element.tag != "Reference"]
    places = {element.get("id"): n for n, element in enumerate(elements) if element.tag == "label"}
    for n, element in enumerate(elements):
        if element.get("retrans"):
            target = places[element.get("next")] if element.get("next") else n
            following = next(other for other in elements[target + 1 :] if other.tag != "label")
            assert following.tag == "recv", element.text
            assert target >= n, element.text


def _kept(text):
    """The messages of a scenario in SIPp's count, and the action that keeps what comes between two receptions."""
    elements = [element for element in ET.fromstring(text) if element.tag != "Reference"]
    place = next(n for n, element in enumerate(elements) if element.get("id") == "_unexp.main")
    return [element for element in elements if element.tag != "label"], elements[place + 1], elements[place - 1]


def test_what_comes_while_sipp_is_at_a_step_waits_for_the_next_reception(text):
    messages, resume, above = _kept(text)
    assert resume.tag == "nop"
    assert above.get("next") == "end"  # nothing runs into it
    actions = list(resume.find("action"))
    assert [action.tag for action in actions] == ["assign", "assignstr", "ereg", "strcmp", "jump"]
    pattern = re.compile(actions[2].get("regexp"))
    steps = [n for n in range(len(messages)) if pattern.fullmatch(f"at {n:f}")]
    assert steps == [n for n, message in enumerate(messages) if not message.tag.startswith("recv")]
    assert not pattern.match("at ")  # SIPp writes nothing for the first message, a reception


def test_a_jump_back_to_a_step_is_not_led_elsewhere_by_the_message_above_it(text):
    messages, resume, _ = _kept(text)
    for above, message in itertools.pairwise(messages):
        landing = message.tag == "nop" and not message.attrib and not len(message)
        if not landing and message is not resume and not message.tag.startswith("recv"):
            assert not above.get("next") or above.get("test"), ET.tostring(message)


def test_an_unexpected_bye_or_cancel_is_answered(text):
    root = list(ET.fromstring(text))
    stray = next(n for n, element in enumerate(root) if element.get("id") == "stray")
    assert [element.tag for element in root[stray + 1 : stray + 4]] == ["send", "sendCmd", "nop"]
    assert {element.get("request") for element in root if element.get("next") == "stray"} == {"BYE", "CANCEL"}


def test_every_message_ends_its_head_once(text):
    for element in ET.fromstring(text).iter("send"):
        head = element.text.strip("\n").partition("\n\n")[0]
        assert "Content-Length: [len]" in head.split("\n")[-1]


def test_a_scenario_that_sipp_would_cut_off_is_refused():
    with pytest.raises(ValueError, match="SIPp reads"):
        xml.scenario("x", "y" * xml.LONGEST)


def test_a_command_that_came_too_early_is_sent_again_and_no_other():
    ours, theirs = socket.socketpair()
    sipp = process.Sipp.__new__(process.Sipp)
    sipp._lock, sipp._socket, sipp._sent, sipp._refused, sipp._told_at = threading.Lock(), ours, {}, False, 0.0
    sipp.command("c1", "cancel")
    first = theirs.recv(4096)
    refusal = "Unexpected control message received (I was expecting a different type of message):"
    for line in ("Call-ID: c1", refusal, "Call-ID: c2", "Call-ID: c1"):
        sipp._on_line(line)
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(4096)
    for _ in range(100):
        sipp._on_line(refusal)
        sipp._on_line("Call-ID: c1")
    again = theirs.recv(65536)
    assert again == 49 * first
    ours.close()
    theirs.close()


def test_a_command_leaves_sipp_time_to_get_where_it_takes_one():
    ours, theirs = socket.socketpair()
    sipp = process.Sipp.__new__(process.Sipp)
    sipp._lock, sipp._socket, sipp._sent, sipp._on_told = threading.Lock(), ours, {}, lambda _: None
    theirs.sendall(b"Call-ID: c1\r\nEvent: answered\r\nMessage:\r\nSIP/2.0 200 OK\r\n\r\n" + process.END)
    theirs.shutdown(socket.SHUT_WR)
    sipp._read()
    told_at = sipp._told_at
    sipp.command("c1", "info")
    assert time.monotonic() - told_at >= process._SETTLED
    ours.close()
    theirs.close()


def test_what_sipp_tells():
    told = process.Told.parse("Call-ID: x@h\r\nEvent: refused\r\nMessage:\r\nSIP/2.0 486 Busy Here\r\nTo: a\r\n\r\n")
    assert (told.call_id, told.event, told.message.code, told.message.reason) == ("x@h", "refused", 486, "Busy Here")
    assert process.Told.parse("call-id: x\ninternal-cmd: abort_call\n\n").event == "aborted"


def test_call_ids_do_not_repeat(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "FOLDER", tmp_path)
    account = type("Account", (), {"user": "a", "aor": "sip:a@a", "domain": "a", "username": "a", "password": "p"})
    config = type("Config", (), {"ipv4": "198.18.0.1"})
    tags = {re.search(r"-key rnd (\w+)", " ".join(process.argv(account, config, 0, True)))[1] for _ in range(20)}
    assert len(tags) == 20
