"""The Asterisk agent without Asterisk: what it reads off the trace, what it configures, and its way from ARI's events to the contract's."""

import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

IMAGES = Path(__file__).parents[2] / "images"
sys.path[:0] = [str(IMAGES / "shared" / "agent"), str(IMAGES / "asterisk")]
sys.modules.setdefault("websocket", SimpleNamespace(WebSocket=object))  # in the image only

from agent_process import Driver, spawning  # noqa: E402
from siplab_agent import Refused  # noqa: E402
from siplab_agent.config import Config  # noqa: E402
from siplab_agent.model import Account  # noqa: E402
from siplab_asterisk import __main__ as agent_module  # noqa: E402
from siplab_asterisk import settings  # noqa: E402
from siplab_asterisk.audio import Line  # noqa: E402
from siplab_asterisk.calls import replaces  # noqa: E402
from siplab_asterisk.dialog import Dialog, Sdp, read_sdp  # noqa: E402
from siplab_asterisk.trace import parse, unpack  # noqa: E402

OWN = "198.18.0.1"
SDP = "v=0\r\nc=IN IP4 198.18.0.1\r\nm=audio 40000 {profile} 8 101\r\na=rtpmap:8 PCMA/8000\r\na={direction}\r\n"
ACCOUNT = {
    "aor": "sip:alice@a.example",
    "username": "alice",
    "password": "secret",
    "proxy": "sip:p.a.example:5061;transport=tls",
    "transport": "tls",
    "media": "sdes",
}


def message(start: str, cseq: str, call_id: str = "cid-1", body: str = "", sent: bool = False, **headers: str):
    fields = {"Call-ID": call_id, "CSeq": cseq, "From": "<sip:alice@a.example>;tag=us", "To": "<sip:bob@b.example>;tag=them", **headers}
    if body:
        fields["Content-Type"] = "application/sdp"
    return parse(start + "\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n" + body, sent=sent)


def hep(source: str, payload: bytes) -> bytes:
    chunks = b""
    for kind, data in ((3, bytes(int(part) for part in source.split("."))), (15, payload)):
        chunks += struct.pack(">HHH", 0, kind, 6 + len(data)) + data
    return b"HEP3" + struct.pack(">H", 6 + len(chunks)) + chunks


# -- the trace ----------------------------------------------------------------------------------------------------------------------------


def test_a_datagram_is_a_message_with_its_direction():
    text = b"SIP/2.0 486 Busy Here\r\ni: x@y\r\nCSeq: 2 INVITE\r\nt: <sip:bob@b>;tag=7\r\nVia: a,\r\n b\r\n\r\n"
    found = unpack(hep(OWN, text), [OWN])
    assert (found.sent, found.status, found.reason, found.method, found.call_id) == (True, 486, "Busy Here", "INVITE", "x@y")
    assert (found.tag("to"), found.uri("to"), found.tag("from"), found.headers["via"]) == ("7", "sip:bob@b", "", "a, b")
    assert not unpack(hep("198.18.0.9", text), [OWN]).sent


@pytest.mark.parametrize("datagram", [b"", b"HEP2....", b"HEP3\0\x0c\0\0\0\x0f\0\x05", hep(OWN, b"rubbish")])
def test_a_datagram_that_is_none_is_told(datagram):
    with pytest.raises((KeyError, ValueError)):
        unpack(datagram, [OWN])


@pytest.mark.parametrize(
    ("profile", "direction", "expected"),
    [
        ("RTP/AVP", "sendrecv", Sdp("sendrecv", "none", "PCMA")),
        ("RTP/SAVP", "sendonly", Sdp("sendonly", "sdes", "PCMA")),
        ("UDP/TLS/RTP/SAVP", "inactive", Sdp("inactive", "dtls", "PCMA")),
    ],
)
def test_sdp(profile, direction, expected):
    assert read_sdp(SDP.format(profile=profile, direction=direction)) == expected


def test_sdp_without_audio():
    assert read_sdp("v=0\r\nm=video 1 RTP/AVP 99\r\n") is None
    assert read_sdp("m=audio 0 RTP/AVP 0\r\n") == Sdp("inactive", "none", "PCMU")


def test_a_challenge_that_was_answered_is_no_end():
    dialog = Dialog("cid-1")
    dialog.follow(message("INVITE sip:bob@b.example SIP/2.0", "1 INVITE", sent=True))
    dialog.follow(message("SIP/2.0 407 Proxy Authentication Required", "1 INVITE"))
    assert dialog.code == 407
    dialog.follow(message("INVITE sip:bob@b.example SIP/2.0", "2 INVITE", sent=True))
    assert dialog.code is None
    dialog.follow(message("SIP/2.0 480 Temporarily Unavailable", "2 INVITE"))
    assert (dialog.code, dialog.reason) == (480, "Temporarily Unavailable")


def test_a_dialog_knows_its_sides_and_when_it_is_held():
    dialog, plain = Dialog("cid-1"), SDP.format(profile="RTP/AVP", direction="sendrecv")
    dialog.follow(message("INVITE sip:bob@b.example SIP/2.0", "1 INVITE", sent=True, body=plain))
    dialog.follow(message("SIP/2.0 180 Ringing", "1 INVITE"))
    assert (dialog.local_tag, dialog.remote_tag, dialog.code, dialog.held) == ("us", "them", None, False)
    dialog.follow(message("SIP/2.0 200 OK", "1 INVITE", body=plain))
    dialog.follow(message("ACK sip:bob@b.example SIP/2.0", "1 ACK", sent=True))
    assert (dialog.code, dialog.confirmed) == (200, True)
    assert replaces(dialog) == "cid-1;to-tag=them;from-tag=us"
    reversed_tags = {"From": "<sip:bob@b.example>;tag=them", "To": "<sip:alice@a.example>;tag=us"}
    hold = SDP.format(profile="RTP/AVP", direction="sendonly")
    dialog.follow(message("INVITE sip:alice@a.example SIP/2.0", "9 INVITE", body=hold, **reversed_tags))
    assert (dialog.local_tag, dialog.remote_tag, dialog.held) == ("us", "them", True)


# -- the configuration --------------------------------------------------------------------------------------------------------------------


def config(**members):
    values = {"ipv6": None, "ca": "/ca.pem", "certificate": None, "key": None, "recordings": "/rec", **members}
    return Config(element="alice", ipv4=OWN, dns=(), tone_hz=440, rtp_ports=(40000, 40098), keylog=None, log_level="info", **values)


def account(**members):
    return Account(**{"id": "a1", "family": 4, "expires": 300, **ACCOUNT, **members})


def test_a_transport_for_each_protocol_and_family():
    text = settings.pjsip_conf(config(ipv6="2001:db8::1", certificate="/own.pem", key="/own.key"))
    assert [line for line in text.splitlines() if line.startswith("[")][1:] == ["[udp4]", "[tcp4]", "[tls4]", "[udp6]", "[tcp6]", "[tls6]"]
    assert "bind = [2001:db8::1]:5061" in text
    assert text.count("verify_server = yes") == text.count("priv_key_file = /own.key") == 2
    assert "6]" not in settings.pjsip_conf(config())


@pytest.mark.parametrize(("media", "encryption"), [("rtp", "no"), ("sdes", "sdes"), ("dtls", "dtls")])
def test_media_are_exactly_what_was_asked_for(media, encryption):
    found = settings.endpoint(account(media=media))
    assert found["media_encryption"] == encryption
    assert "media_encryption_optimistic" not in found


def test_an_account_goes_by_its_proxy_and_transport():
    found = settings.endpoint(account(family=6))
    assert (found["transport"], found["rtp_ipv6"], found["outbound_proxy"]) == ("tls6", "yes", "sip:p.a.example:5061;transport=tls;lr")
    made = settings.registration(account(), 60)
    assert (made["server_uri"], made["client_uri"], made["expiration"]) == ("sip:a.example", "sip:alice@a.example", "60")


def test_the_zone_decides_over_what_where_the_proxy_does_not_say():
    by_domain = account(proxy="sip:a.example")
    for made in (settings.endpoint(by_domain), settings.registration(by_domain, 60)):
        assert "transport" not in made
        assert made["outbound_proxy"] == "sip:a.example;lr"


def test_the_manifest_says_what_the_agent_says():
    manifest = yaml.safe_load((IMAGES / "asterisk" / "vendor.yaml").read_text())
    assert set(manifest["supports"]) == agent_module.CAPABILITIES


# -- the agent ----------------------------------------------------------------------------------------------------------------------------


class FakeAri:
    """Takes every request and gives the answers that the agent reads."""

    def __init__(self, on_event, on_end):
        self.on_event, self.on_end, self.asked = on_event, on_end, []
        self.refuses = ""

    def listen(self):
        self.asked.append("listen")

    def request(self, verb, path, body=None, **query):
        self.asked.append(f"{verb} {path}")
        if self.refuses == f"{verb} {path}":
            raise Refused(f"{verb} {path}: 400")
        return {"protocol_id": "cid-1", "value": "<sip:bob@b.example>"}

    def drop(self, path, **query):
        self.request("DELETE", path)

    def put_object(self, kind, name, fields):
        self.request("PUT", f"{kind}/{name}")

    def drop_object(self, kind, name):
        self.request("DELETE", f"{kind}/{name}")


class FakeTrace:
    """The test says what is on the wire."""

    def __init__(self, own, on_message):
        self.on_message = on_message

    def listen(self):
        pass


class FakeAudio:
    """Lines without a socket."""

    def open(self, tone_hz):
        return Line(tone_hz)

    def close(self, line):
        line.recorder.close()


class Phone(Driver):
    """The lab's end of an agent that runs in a thread, and both of Asterisk's ends."""

    def __init__(self, tmp_path, monkeypatch, script):
        for name, fake in (("Ari", FakeAri), ("Trace", FakeTrace), ("AudioServer", FakeAudio)):
            monkeypatch.setattr(agent_module, name, fake)
        spawning(monkeypatch, agent_module.AsteriskAgent, lambda argv: ["sh", "-c", script])
        monkeypatch.setattr(agent_module.AsteriskAgent, "version", lambda self: "22")
        monkeypatch.setattr(settings, "write_files", lambda config: None)
        super().__init__(agent_module.AsteriskAgent, tmp_path, ca="/ca.pem", account=ACCOUNT)

    def wire(self, *args, **members):
        self.agent._trace.on_message(message(*args, **members))

    def tell(self, kind, channel="c1", name="PJSIP/a1-00000001", **members):
        self.agent.ari.on_event({"type": kind, "channel": {"id": channel, "name": name, "protocol_id": "cid-1"}, **members})


@pytest.fixture
def driver(tmp_path, monkeypatch):
    with Phone(tmp_path, monkeypatch, "echo Asterisk Ready.; exec cat") as driver:
        yield driver


@pytest.fixture
def called(driver):
    """a1 called bob, who answered."""
    driver.add()
    driver.ask("call.invite", account="a1", target="sip:bob@b.example")
    driver.wire("INVITE sip:bob@b.example SIP/2.0", "1 INVITE", sent=True, body=SDP.format(profile="RTP/SAVP", direction="sendrecv"))
    driver.wire("SIP/2.0 180 Ringing", "1 INVITE")
    driver.wire("SIP/2.0 200 OK", "1 INVITE", body=SDP.format(profile="RTP/SAVP", direction="sendrecv"))
    driver.wire("ACK sip:bob@b.example SIP/2.0", "1 ACK", sent=True)
    driver.tell("StasisStart", args=[])
    return driver


def test_a_registration_is_what_the_registrar_answered(driver):
    driver.add()
    driver.ask("register", account="a1")
    driver.wire("REGISTER sip:a.example SIP/2.0", "1 REGISTER", "reg-1", sent=True)
    driver.wire("SIP/2.0 401 Unauthorized", "1 REGISTER", "reg-1")
    driver.wire("SIP/2.0 200 OK", "1 REGISTER", "another")
    driver.wire("SIP/2.0 200 OK", "2 REGISTER", "reg-1", Contact="<sip:alice@198.18.0.1>;expires=120")
    assert driver.take("registration")["expires"] == 120
    driver.ask("unregister", account="a1")
    driver.wire("SIP/2.0 200 OK", "3 REGISTER", "reg-1")
    assert driver.take("registration")["state"] == "unregistered"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("Fatal response '401' received from 'sip:a.example' on registration attempt to 'sip:alice@a.example', stopping", 401),
        ("403 Forbidden fatal response received from 'sip:a.example' on registration attempt to 'sip:alice@a.example', retrying", 403),
        ("Temporal response '503' received from 'sip:a.example' on registration attempt to 'sip:alice@a.example', retrying", 503),
        ("No response received from 'sip:a.example' on registration attempt to 'sip:alice@a.example', retrying in '60'", None),
    ],
)
def test_a_registration_that_failed_is_read_off_the_log_and_not_tried_again(driver, line, code):
    driver.add()
    driver.ask("register", account="a1")
    driver.agent._line(line)
    event = driver.take("registration", state="failed")
    assert (event.get("code"), event["source"]) == (code, "log")
    driver.ask("hello")
    assert "DELETE registration/a1" in driver.agent.ari.asked


def test_an_outgoing_call(called):
    assert called.take("call.state", state="ringing")["code"] == 180
    assert called.take("call.state", state="established")["code"] == 200
    assert called.take("call.media")["encryption"] == "sdes"
    called.tell("ChannelDtmfReceived", digit="5")
    assert called.take("call.dtmf")["digit"] == "5"
    called.ask("call.bye", call="c1")
    called.tell("ChannelDestroyed")
    assert called.take("call.state", state="terminated")["code"] == 200


def test_hold_is_told_when_it_is_answered(called):
    called.take("call.state", state="established")
    called.ask("call.hold", call="c1")
    assert called.agent.calls["c1"].native.line.tone_hz is None
    called.wire("INVITE sip:bob@b.example SIP/2.0", "2 INVITE", sent=True, body=SDP.format(profile="RTP/SAVP", direction="sendonly"))
    called.wire("SIP/2.0 200 OK", "2 INVITE", body=SDP.format(profile="RTP/SAVP", direction="recvonly"))
    called.take("call.state", state="held")
    called.ask("call.resume", call="c1")
    called.wire("INVITE sip:bob@b.example SIP/2.0", "3 INVITE", sent=True, body=SDP.format(profile="RTP/SAVP", direction="sendrecv"))
    called.wire("SIP/2.0 200 OK", "3 INVITE", body=SDP.format(profile="RTP/SAVP", direction="sendrecv"))
    called.take("call.state", state="resumed")
    called.ask("hello")
    assert called.agent.calls["c1"].native.line.tone_hz == 440


def test_a_cancelled_call_ends_with_the_487(driver):
    driver.add()
    driver.ask("call.invite", account="a1", target="sip:bob@b.example")
    driver.ask("call.cancel", call="c1")
    driver.tell("ChannelDestroyed")
    driver.wire("SIP/2.0 487 Request Terminated", "1 INVITE")
    assert driver.take("call.state", state="terminated")["code"] == 487


def test_an_incoming_call_is_established_by_the_ack(driver):
    driver.add()
    driver.tell("StasisStart", channel="1.1", args=[])
    assert driver.take("call.incoming", account="a1")["from"] == "sip:bob@b.example"
    driver.ask("call.answer", call="c1")
    driver.wire("SIP/2.0 200 OK", "1 INVITE", sent=True, body=SDP.format(profile="RTP/SAVP", direction="sendrecv"))
    driver.wire("ACK sip:alice@a.example SIP/2.0", "1 ACK")
    driver.take("call.state", state="established")
    driver.tell("StasisStart", channel="1.1-audio", name="AudioSocket/x-1", args=[])
    driver.ask("stats")
    assert "POST bridges/1.1/addChannel" in driver.agent.ari.asked


def test_who_is_replaced_is_hung_up(called):
    called.take("call.state", state="established")
    called.tell("StasisStart", channel="2.1", args=[], replace_channel={"id": "c1"})
    assert called.take("call.incoming")["call"] == "c2"
    assert called.take("call.state", state="established")["call"] == "c2"
    called.ask("hello")
    assert "DELETE channels/c1" in called.agent.ari.asked


def test_a_refer_makes_a_call(called):
    called.take("call.state", state="established")
    called.wire("REFER sip:alice@a.example SIP/2.0", "5 REFER", **{"Refer-To": "<sip:carol@c.example?Replaces=x%3Bto-tag%3D1>"})
    assert called.take("transfer", state="requested")["target"].startswith("sip:carol@c.example")
    assert called.take("call.state", state="calling", call="c2")
    assert called.take("transfer", state="accepted", call="c1")


def test_a_refer_that_cannot_be_followed_has_failed(called):
    called.take("call.state", state="established")
    called.agent.ari.refuses = "POST channels"
    called.wire("REFER sip:alice@a.example SIP/2.0", "5 REFER", **{"Refer-To": "<sip:carol@c.example>"})
    assert called.take("transfer", state="failed", call="c1")
    assert called.ask("stats")["result"]["calls"] == ["c1"]


def test_who_refers_adds_no_headers_of_his_own(called):
    called.take("call.state", state="established")
    before = len(called.agent.ari.asked)
    called.wire("REFER sip:alice@a.example SIP/2.0", "5 REFER", **{"Refer-To": "<sip:carol@c.example?Replaces=x%0d%0aX-Evil:%201>"})
    assert called.take("transfer", state="failed", call="c1")
    assert "POST channels" not in called.agent.ari.asked[before:]


def test_what_became_of_a_transfer_is_in_the_notify(called):
    called.take("call.state", state="established")
    called.ask("call.refer", call="c1", target="sip:carol@c.example")
    called.wire("SIP/2.0 202 Accepted", "6 REFER")
    assert called.take("transfer")["state"] == "accepted"
    called.wire("NOTIFY sip:alice@a.example SIP/2.0", "7 NOTIFY", body="SIP/2.0 100 Trying")
    called.wire("NOTIFY sip:alice@a.example SIP/2.0", "8 NOTIFY", body="SIP/2.0 603 Decline")
    assert called.take("transfer", state="failed")["code"] == 603


def test_a_message_has_the_answer_that_it_got(driver):
    driver.add()
    sent = driver.ask("message.send", account="a1", target="sip:bob@b.example", body="hello")["result"]["message"]
    driver.agent._trace.on_message(parse("MESSAGE sip:bob@b.example SIP/2.0\r\nCall-ID: m\r\nCSeq: 1 MESSAGE\r\n\r\nhello", sent=True))
    driver.wire("SIP/2.0 404 Not Found", "1 MESSAGE", "m")
    event = driver.take("message.status", message=sent)
    assert (event["ok"], event["code"]) == (False, 404)


def test_an_asterisk_that_tells_nothing_any_more_is_as_good_as_dead(driver, monkeypatch):
    monkeypatch.setattr(agent_module, "DEAF_FOR", 0.01)
    driver.ask("hello")
    driver.agent.ari.on_end("closed")
    assert driver.take("fault")["what"] == "ARI tells no events any more: closed"


def test_its_death_while_it_starts_is_told(tmp_path, monkeypatch):
    with Phone(tmp_path, monkeypatch, "exit 3") as driver:
        assert driver.take("fault")["exit"] == 3


def test_its_death_is_told(driver):
    driver.ask("hello")
    driver.agent._asterisk._process.kill()
    assert driver.take("fault")["signal"] == 9
