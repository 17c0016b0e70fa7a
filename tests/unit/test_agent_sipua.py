"""The sipua agent without sipua: its policy, its answers to challenges, and the agent in front of a phone that is a fake."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from sipmessage import URI, Request, Response

IMAGES = Path(__file__).parents[2] / "images"
sys.path[:0] = [str(IMAGES / "shared" / "agent"), str(IMAGES / "sipua")]

from agent_process import ACCOUNT, Driver  # noqa: E402
from siplab_sipua import agent as agent_module  # noqa: E402
from siplab_sipua.policy import Refused, demand  # noqa: E402
from siplab_sipua.subscriber import Subscriber, granted  # noqa: E402

from lab.sip.digest import Credentials  # noqa: E402


class FakeLeg:
    """A call that does at once what it is told."""

    def __init__(self, subscriber):
        self.subscriber = subscriber
        self.tone = SimpleNamespace(hz=440)

    async def place(self):
        self.tell("ringing", 180, "Ringing")
        self.tell("established", 200, "OK")

    async def answer(self):
        self.tell("established", 200, "OK")

    async def refuse(self, code, reason=None, contact=None):
        self.tell("terminated", code, reason or str(contact))

    async def leave(self):
        self.tell("terminated", 200, "BYE")

    async def end(self):
        self.tell("terminated", 480, "gone")


class FakePhone:
    """Registers whom it likes; an INVITE comes in as soon as somebody has registered."""

    lives: list["FakePhone"] = []  # noqa: RUF012

    def __init__(self, listener):
        self.listener = listener
        self.subscribers = []
        self.open_now = False
        FakePhone.lives.append(self)

    async def open(self):
        self.open_now = True

    async def close(self):
        self.open_now = False

    async def register(self, subscriber, expires):
        assert self.open_now
        if subscriber.credentials.password == "broken":
            raise OSError("no such name")
        code = 200 if subscriber.credentials.password == "secret" else 401
        subscriber.registered = code == 200 and expires > 0
        if subscriber.registered:
            self.listener.invited(FakeLeg(subscriber), "sip:bob@b", "sip:alice@a")
        return SimpleNamespace(code=code, phrase="phrase", contact=[], expires=60)

    def call(self, subscriber, target):
        return FakeLeg(subscriber)

    async def message(self, subscriber, target, body, content_type):
        if body == "broken":
            raise OSError("no such name")
        return SimpleNamespace(code=404, phrase="Not Found")


def new_phone(agent):
    return FakePhone(agent)


@pytest.fixture
def driver(tmp_path, monkeypatch):
    FakePhone.lives.clear()
    monkeypatch.setattr(agent_module.SipuaAgent, "_new_phone", new_phone)
    monkeypatch.setattr(agent_module.SipuaAgent, "version", lambda self: "0.5.7")
    driver = Driver(agent_module.SipuaAgent, tmp_path, account={**ACCOUNT, "media": "dtls"})
    yield driver
    if driver.thread.is_alive():
        driver.close()


def test_manifest_and_agent_declare_the_same():
    manifest = yaml.safe_load((IMAGES / "sipua" / "vendor.yaml").read_text())
    assert set(manifest["supports"]) == agent_module.CAPABILITIES


def test_registration_and_its_failures(driver):
    good, bad, broken = driver.add(), driver.add(password="wrong"), driver.add(password="broken")
    for account in (good, bad, broken):
        driver.ask("register", account=account)
    assert driver.event("registration", account=good)["state"] == "registered"
    assert driver.event("registration", account=bad, state="failed")["code"] == 401
    assert "no such name" in driver.event("registration", account=broken, state="failed")["reason"]
    driver.ask("unregister", account=good)
    assert driver.event("registration", account=good, state="unregistered")["code"] == 200


def test_incoming_call_is_answered_once(driver):
    driver.ask("register", account=driver.add())
    call = driver.event("call.incoming")["call"]
    assert driver.ask("call.cancel", call=call)["error"]["code"] == "bad-state"
    assert driver.ask("call.answer", call=call)["result"] == {}
    assert driver.event("call.state", call=call, state="established")
    assert driver.event("call.media", call=call)["encryption"] == "dtls"
    assert driver.ask("call.answer", call=call)["error"]["code"] == "bad-state"
    driver.ask("call.bye", call=call)
    assert driver.event("call.state", call=call, state="terminated")["code"] == 200


def test_incoming_call_is_redirected_to_exactly_that_contact(driver):
    driver.ask("register", account=driver.add())
    call = driver.event("call.incoming")["call"]
    driver.ask("call.redirect", call=call, contact="sip:carol@c;transport=tcp")
    assert driver.event("call.state", call=call, state="terminated", code=302)["reason"] == "<sip:carol@c;transport=tcp>"


def test_outgoing_call_tells_its_states_in_order(driver):
    call = driver.ask("call.invite", account=driver.add(), target="sip:bob@b")["result"]["call"]
    assert driver.event("call.state", call=call, state="established")
    states = [event["state"] for event in driver.events if event["event"] == "call.state"]
    assert states == ["calling", "ringing", "established"]
    assert driver.ask("call.hold", call=call)["error"]["code"] == "unsupported"


def test_message_has_a_status_whatever_happens(driver):
    account = driver.add()
    refused = driver.ask("message.send", account=account, target="sip:bob@b", body="x")["result"]["message"]
    assert driver.event("message.status", message=refused) | {"ok": False, "code": 404} == driver.event("message.status", message=refused)
    broken = driver.ask("message.send", account=account, target="sip:bob@b", body="broken")["result"]["message"]
    assert driver.event("message.status", message=broken)["ok"] is False


def test_an_account_that_goes_ends_its_calls(driver):
    account = driver.add()
    driver.ask("register", account=account)
    call = driver.event("call.incoming")["call"]
    assert driver.ask("account.remove", account=account)["result"] == {}
    assert driver.event("call.state", call=call, state="terminated")["code"] == 480
    assert driver.ask("register", account=account)["error"]["code"] == "unknown-account"
    assert all(subscriber.removed for subscriber in FakePhone.lives[-1].subscribers)


def test_two_resets_open_the_sockets_one_after_the_other(driver):
    driver.ask("reset")
    driver.ask("reset")
    driver.ask("register", account=driver.add())
    assert driver.event("registration", state="registered")
    assert [phone.open_now for phone in FakePhone.lives] == [False, False, True]


def test_reset_is_a_new_phone(driver):
    account = driver.add()
    driver.ask("reset")
    assert driver.ask("register", account=account)["error"]["code"] == "unknown-account"
    driver.ask("register", account=driver.add())
    assert driver.event("registration", state="registered")
    assert [phone.open_now for phone in FakePhone.lives] == [False, True]


def test_timers_and_broken_coroutines_leave_the_loop_alone(driver):
    async def broken():
        raise ValueError("on purpose")

    def both():
        driver.agent.launch(broken())
        driver.agent.emit("notify", subscription="s1", state="done")

    driver.agent.after(0.01, both)
    assert driver.event("notify")["state"] == "done"
    assert driver.ask("hello")["result"]["vendor"] == "sipua"


def test_end_of_input_takes_the_binding_back(driver):
    driver.ask("register", account=driver.add())
    driver.event("registration", state="registered")
    driver.close()
    assert not driver.thread.is_alive()
    assert not FakePhone.lives[-1].subscribers[0].registered
    assert not FakePhone.lives[-1].open_now


@pytest.mark.parametrize(("member", "value"), [("aor", "sip:alice@a b"), ("proxy", "sip:[::"), ("media", "sdes")])
def test_account_that_cannot_be(driver, member, value):
    assert driver.ask("account.add", **{**driver.account, member: value})["error"]["code"] in ("bad-params", "unsupported")


FINGERPRINT = "a=fingerprint:sha-256 AA\r\n"


@pytest.mark.parametrize(
    ("media", "description"),
    [("rtp", "m=audio 4000 RTP/AVP 0\r\n"), ("dtls", f"m=audio 4000 UDP/TLS/RTP/SAVP 0\r\n{FINGERPRINT}")],
)
def test_media_that_is_what_the_account_is_for(media, description):
    demand(media, "v=0\r\n" + description)


@pytest.mark.parametrize(
    ("media", "description", "why"),
    [
        ("rtp", f"m=audio 4000 UDP/TLS/RTP/SAVPF 0\r\n{FINGERPRINT}", "for rtp only"),
        ("rtp", "m=audio 4000 RTP/SAVP 0\r\n", "for rtp only"),
        ("dtls", "m=audio 4000 RTP/AVP 0\r\n", "for dtls only"),
        ("dtls", "m=audio 4000 UDP/TLS/RTP/SAVPF 0\r\n", "no fingerprint"),
        ("rtp", "m=audio 0 RTP/AVP 0\r\n", "no audio"),
        ("rtp", "", "no audio"),
    ],
)
def test_media_that_is_refused(media, description, why):
    with pytest.raises(Refused, match=why):
        demand(media, description)


def challenged(value):
    response = Response(407, "Proxy Authentication Required")
    response.headers.add("Proxy-Authenticate", value)
    return response


def test_challenge_is_answered_for_the_request_at_hand():
    subscriber = Subscriber(URI.parse("sip:alice@a"), Credentials("alice", "secret"), URI.parse("sip:p.a"), "udp", "rtp")
    request = Request("INVITE", URI.parse("sip:bob@b"))
    assert subscriber.authorise(request, challenged('Digest realm="a",nonce="n",qop="auth"')) is None
    assert request.proxy_authorization.parameters["uri"] == "sip:bob@b"
    assert request.authorization is None
    assert "no challenge" in subscriber.authorise(request, challenged('Digest realm="a",nonce="n",algorithm=X'))


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ("Contact: <sip:alice@198.18.0.9>;expires=7, <sip:alice@198.18.0.1>;expires=120\r\nExpires: 300\r\n", 120),
        ("Contact: <sip:alice@198.18.0.1>\r\nExpires: 300\r\n", 300),
        ("", None),
    ],
)
def test_what_is_told_of_a_registration_is_what_was_granted(fields, seconds):
    head = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n"
    head += "Call-ID: x\r\nCSeq: 1 REGISTER\r\n"
    assert granted(Response.parse(f"{head}{fields}Content-Length: 0\r\n\r\n".encode()), "198.18.0.1") == seconds
