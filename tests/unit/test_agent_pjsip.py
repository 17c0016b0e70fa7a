"""The pjsip agent without pjsua2: its pure translations, and the agent in front of an engine process that is a fake."""

import sys
from pathlib import Path

import pytest
import yaml

IMAGES = Path(__file__).parents[2] / "images"
sys.path[:0] = [str(IMAGES / "shared" / "agent"), str(IMAGES / "pjsip")]

from agent_process import ACCOUNT, Driver, spawning  # noqa: E402
from siplab_agent.audio import wav_header  # noqa: E402
from siplab_pjsip import __main__ as agent_module  # noqa: E402
from siplab_pjsip import translate  # noqa: E402

FAKE_ENGINE = """
import json, os, signal, socket, struct, sys
control = socket.socket(fileno=int(sys.argv[1]))
while True:
    data, fds, _, _ = socket.recv_fds(control, 1, 1)
    if not data:
        os._exit(0)
    pid = os.fork()
    if pid == 0:
        break
    os.close(fds[0])
    control.sendall(struct.pack("i", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
sock = socket.socket(fileno=fds[0])
def say(**message): sock.sendall(json.dumps(message).encode() + b"\\n")
say(event="ready", version="2.15.1", pid=os.getpid())
for line in sock.makefile("rb"):
    request = json.loads(line)
    method, params = request["method"], request["params"]
    if method == "invite":
        say(event="call.state", call=params["call"], state="calling")
    if method == "invite" and "abort" in params["target"]:
        os.kill(os.getpid(), signal.SIGABRT)
    if method == "invite" and "refuse" in params["target"]:
        say(id=request["id"], error=["vendor", "PJ_EINVAL (70004)"])
        continue
    say(id=request["id"], result={})
    if method == "register":
        say(event="registration", account=params["account"], state="registered", code=200)
        say(event="call.incoming", call="in-1", account=params["account"], **{"from": "sip:bob@b"}, to="sip:alice@a")
    if method == "respond" and params["code"] == 200:
        say(event="call.media", call=params["call"], direction="sendrecv", encryption="sdes")
        say(event="call.state", call=params["call"], state="established", code=200, reason="OK")
    if method == "quit":
        say(event="call.state", call="in-1", state="terminated", code=200, reason="bye")
        say(event="goodbye")
        os._exit(0)
"""


@pytest.fixture
def driver(tmp_path, monkeypatch):
    script = tmp_path / "engine.py"
    script.write_text(FAKE_ENGINE)
    spawning(monkeypatch, agent_module.PjsipAgent, lambda argv: [argv[0], str(script), argv[-1]])
    account = {**ACCOUNT, "proxy": "sip:p.a:5061;transport=tls", "transport": "tls", "media": "sdes"}
    with Driver(agent_module.PjsipAgent, tmp_path, account=account) as driver:
        yield driver


def test_incoming_call_gets_the_librarys_id(driver):
    account = driver.add()
    driver.ask("register", account=account)
    assert driver.event("registration", state="registered")["code"] == 200
    call = driver.event("call.incoming")["call"]
    assert call.startswith("c")
    assert driver.ask("call.answer", call=call)["result"] == {}
    assert driver.event("call.state", call=call, state="established")["code"] == 200
    assert driver.event("call.media", call=call)["encryption"] == "sdes"
    assert driver.ask("call.answer", call=call)["error"]["code"] == "bad-state"


def test_events_of_a_new_call_follow_its_answer(driver):
    account = driver.add()
    call = driver.ask("call.invite", account=account, target="sip:bob@b")["result"]["call"]
    assert not driver.events
    assert driver.event("call.state", call=call, state="calling")
    assert driver.ask("call.hold", call=call)["error"]["code"] == "bad-state"


def test_refusal_is_the_vendors_and_the_call_is_forgotten(driver):
    account = driver.add()
    assert driver.ask("call.invite", account=account, target="sip:refuse@b")["error"] == {"code": "vendor", "message": "PJ_EINVAL (70004)"}
    assert driver.ask("stats")["result"]["calls"] == []


def test_abort_of_the_engine_is_a_fault_with_its_signal(driver):
    account = driver.add()
    assert driver.ask("call.invite", account=account, target="sip:abort@b")["error"]["code"] == "fault"
    assert driver.event("fault")["signal"] == 6
    assert driver.ask("register", account=account)["error"]["code"] == "fault"


def test_reset_takes_a_new_engine_and_ids_go_on(driver):
    account = driver.add()
    driver.ask("register", account=account)
    call = driver.event("call.incoming")["call"]
    before = driver.agent.engine.pid
    assert driver.ask("reset")["result"] == {}
    assert driver.event("call.state", call=call, state="terminated")["reason"] == "bye"
    assert driver.agent.engine.pid != before
    assert driver.ask("register", account=account)["error"]["code"] == "unknown-account"
    assert driver.add() != account
    assert not [event for event in driver.events if event["event"] == "fault"]


@pytest.mark.parametrize(("name", "value"), [("media", "dtls"), ("family", 6)])
def test_what_pjsip_cannot_do_is_unsupported(driver, name, value):
    assert driver.ask("account.add", **{**driver.account, name: value})["error"]["code"] == "unsupported"


def test_manifest_and_agent_declare_the_same():
    manifest = yaml.safe_load((IMAGES / "pjsip" / "vendor.yaml").read_text())
    assert set(manifest["supports"]) == agent_module.CAPABILITIES


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ('"Bob" <sip:bob@b;x=1>;tag=1', "sip:bob@b;x=1"),
        ("<sip:bob@b;transport=tls>;tag=1", "sip:bob@b;transport=tls"),
        ("sip:bob@b;tag=1", "sip:bob@b"),
    ],
)
def test_bare_uri(text, uri):
    assert translate.bare_uri(text) == uri


def test_route_is_loose_once():
    assert translate.loose_route("sip:p.a:5061;transport=tls") == "sip:p.a:5061;transport=tls;lr"
    assert translate.loose_route("sip:p.a;lr") == "sip:p.a;lr"
    assert translate.loose_route("sip:p.a;lr=on") == "sip:p.a;lr=on"


def test_registrar_is_the_domain():
    assert translate.registrar_uri("sip:alice@a.example") == "sip:a.example"
    assert translate.registrar_uri("sips:alice@a.example;user=phone") == "sips:a.example"


@pytest.mark.parametrize(
    ("code", "expires", "wanted", "state"),
    [
        (200, 300, True, "registered"),
        (200, 0, True, "unregistered"),
        (200, 300, False, "unregistered"),
        (401, 0, True, "failed"),
        (503, 0, False, "failed"),
    ],
)
def test_registration(code, expires, wanted, state):
    assert translate.registration(code, expires, wanted) == state


def test_a_code_that_was_not_received_says_so():
    assert translate.outcome(486, "Busy Here", True) == {"code": 486, "reason": "Busy Here"}
    assert "nothing was received" in translate.outcome(503, "Service Unavailable", False)["reason"]
    assert translate.outcome(0, "", True) == {}


def test_hold_is_reported_once_per_change():
    hold = translate.HoldState()
    assert [hold.change(status) for status in (1, 2, 2, 1, 3, 2, 1, 1)] == [None, "held", None, "resumed", "held", "held", "resumed", None]


@pytest.mark.parametrize(("bits", "name"), [(0, "inactive"), (1, "sendonly"), (2, "recvonly"), (3, "sendrecv")])
def test_direction(bits, name):
    assert translate.direction(bits) == name


def test_encryption_is_read_from_the_profile():
    assert translate.encryption(1 | 1 << 14) == "sdes"
    assert translate.encryption(1) == "none"


def test_header():
    head = "NOTIFY sip:a SIP/2.0\r\nSubscription-State: active;expires=3\r\nContent-Type : x/y\r\n"
    assert translate.header(head, "Subscription-State") == "active;expires=3"
    assert translate.header(head, "content-type") == "x/y"
    assert translate.header(head, "Event") == ""


def test_wav_is_cut_only_when_final():
    pcm = bytes(range(200)) * 100
    assert translate.cut_wav(wav_header(0) + pcm, 1) is None
    assert translate.cut_wav(b"", 1) is None
    assert translate.cut_wav(wav_header(len(pcm)) + pcm, 1) == pcm[:16000]
    assert translate.cut_wav(wav_header(100) + pcm[:100], 1) == pcm[:100]
