"""The linphone agent without linphone: its settings, its translation of library states, and the agent in front of a fake driver."""

import ctypes
import json
import os
import select
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

IMAGES = Path(__file__).parents[2] / "images"
sys.path[:0] = [str(IMAGES / "shared" / "agent"), str(IMAGES / "linphone" / "agent")]

from siplab_agent.audio import pcmu_encode, sine  # noqa: E402
from siplab_agent.config import Config  # noqa: E402
from siplab_agent.faults import BadParams, BadState, UnknownAccount, UnknownCall  # noqa: E402
from siplab_agent.wire import Wire  # noqa: E402
from siplab_linphone import __main__ as agent_module  # noqa: E402
from siplab_linphone import media  # noqa: E402
from siplab_linphone.accounts import Accounts, outcome  # noqa: E402
from siplab_linphone.api import Api, CallState, Reason, RegistrationState  # noqa: E402
from siplab_linphone.calls import Calls  # noqa: E402
from siplab_linphone.settings import linphonerc  # noqa: E402

ACCOUNT = {
    "aor": "sip:alice@atlanta.example",
    "username": "alice",
    "password": "secret",
    "proxy": "sip:pa.atlanta.example:5061;transport=tls",
    "transport": "tls",
    "media": "sdes",
    "family": 4,
    "expires": 300,
    "ice": False,
    "q": None,
}


def config(folder: Path, **changes: Any) -> Config:
    values: dict[str, Any] = {
        "element": "alice", "ipv4": "198.18.64.20", "ipv6": None, "dns": (), "tone_hz": 440, "rtp_ports": (40000, 40098),
        "ca": "/etc/siplab/tls/ca.pem", "certificate": None, "key": None, "recordings": str(folder), "keylog": None, "log_level": "info",
    }  # fmt: skip
    return Config(**{**values, **changes})


class FakeApi:
    """Answers every function: with what a test put under its name, else with a new number; remembers the calls."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.called: list[tuple[str, tuple[Any, ...]]] = []
        self._next = 1000

    def __getattr__(self, name: str) -> Any:
        def function(*arguments: Any) -> Any:
            self.called.append((name, arguments))
            if name in self.answers:
                return self.answers[name]
            if name.endswith(("_set_server_address", "_add_account", "_accept_with_params", "_terminate", "_pause", "_resume")):
                return 0
            self._next += 1
            return self._next

        return function

    def callback(self, *_: Any) -> None: ...

    def uri(self, address: int) -> str:
        return "sip:bob@biloxi.example"

    def last(self, name: str) -> tuple[Any, ...]:
        return next(arguments for called, arguments in reversed(self.called) if called == name)


class FakeDriver:
    """The driver's services without a core."""

    core, factory = 1, 2

    def __init__(self, **answers: Any) -> None:
        answers = {
            "call_get_error_info": None,
            "call_params_get_used_audio_payload_type": 0,
            "call_params_get_audio_direction": 3,
            **answers,
        }
        self.api = FakeApi(**answers)
        self.events: list[dict[str, Any]] = []
        self.accounts = Accounts(self)  # type: ignore[arg-type]
        self.calls = Calls(self)  # type: ignore[arg-type]
        self._ids = 0
        self._later: list[Any] = []

    def new_id(self, letter: str) -> str:
        self._ids += 1
        return f"{letter}{self._ids}"

    def event(self, name: str, **members: Any) -> None:
        self.events.append({"event": name, **{key: value for key, value in members.items() if value is not None}})

    def later(self, action: Any) -> None:
        self._later.append(action)

    def turn(self) -> None:
        actions, self._later = self._later, []
        for action in actions:
            action()

    def address(self, uri: str) -> int:
        return hash(uri) & 0xFFFF

    def add(self, **changes: Any) -> str:
        return str(self.accounts.add({**ACCOUNT, **changes})["account"])

    def states(self) -> list[Any]:
        return [(event["state"], event.get("code")) for event in self.events if event["event"] == "call.state"]

    def happen(self, pointer: int, *states: CallState) -> None:
        for state in states:
            self.calls._on_state(1, pointer, state, b"")
            self.turn()


def test_the_configuration_names_no_host_and_no_sound_card(tmp_path: Path) -> None:
    text = linphonerc(config(tmp_path), "/certificates")
    assert "http" not in text
    assert "stun_server" not in text
    for line in ("verify_server_certs=1", "verify_server_cn=1", "rtp_io=1", "hold_music=/nonexistent.wav", "audio_rtp_port=40000-40098"):
        assert line in text.splitlines()
    assert "client_cert_chain" not in text


def test_the_instance_id_is_the_elements_own_and_stable(tmp_path: Path) -> None:
    def uuid_of(name: str) -> str:
        return next(line for line in linphonerc(config(tmp_path, element=name), "/c").splitlines() if line.startswith("uuid="))

    assert uuid_of("alice") == uuid_of("alice") != uuid_of("bob")


def test_a_certificate_of_its_own_is_presented(tmp_path: Path) -> None:
    text = linphonerc(config(tmp_path, certificate="/tls/alice.pem", key="/tls/alice.key"), "/c")
    assert "client_cert_chain=/tls/alice.pem\nclient_cert_key=/tls/alice.key\n" in text


def test_supports_are_what_the_agent_declares() -> None:
    manifest = yaml.safe_load((IMAGES / "linphone" / "vendor.yaml").read_text())
    assert set(manifest["supports"]) == set(agent_module.LinphoneAgent.capabilities)


def test_accounts_must_agree_on_media() -> None:
    driver = FakeDriver()
    driver.add()
    driver.add(aor="sip:alice2@atlanta.example")
    with pytest.raises(BadParams, match="media"):
        driver.add(media="rtp")


def test_the_core_insists_on_the_accounts_media() -> None:
    driver = FakeDriver()
    driver.add(media="rtp")
    assert driver.api.last("core_set_media_encryption") == (1, 0)
    assert driver.api.last("core_set_media_encryption_mandatory") == (1, 1)


@pytest.mark.parametrize(("media_kind", "mandatory"), [("rtp", 0), ("sdes", 1), ("dtls", 1)])
def test_only_a_plain_call_may_send_in_clear(media_kind: str, mandatory: int) -> None:
    driver = FakeDriver(core_invite_address_with_params=77)
    account = driver.add(media=media_kind)
    driver.calls._new(77, CallState.OUTGOING_INIT)
    driver.calls.invite({"account": account, "target": "sip:bob@biloxi.example", "offer": "early"})
    assert driver.api.last("call_params_enable_mandatory_media_encryption")[1] == mandatory


def test_registration_fails_once_and_is_not_tried_again() -> None:
    driver = FakeDriver(error_info_get_protocol_code=401, error_info_get_reason=2, error_info_get_phrase="Unauthorized")
    account = driver.accounts.get(driver.add())
    driver.accounts.register({"account": account.id, "expires": None})
    for _ in range(2):
        driver.accounts._on_state(1, account.pointer, RegistrationState.FAILED, b"")
        driver.turn()
    assert driver.events == [{"event": "registration", "account": account.id, "state": "failed", "code": 401, "reason": "Unauthorized"}]
    assert driver.api.last("account_params_enable_register")[1] == 0


def test_registered_then_unregistered() -> None:
    driver = FakeDriver()
    account = driver.accounts.get(driver.add())
    driver.accounts.register({"account": account.id, "expires": 60})
    driver.accounts._on_state(1, account.pointer, RegistrationState.OK, b"")
    driver.accounts.unregister({"account": account.id})
    driver.accounts._on_state(1, account.pointer, RegistrationState.CLEARED, b"")
    assert [event["state"] for event in driver.events] == ["registered", "unregistered"]


def test_unknown_ids() -> None:
    driver = FakeDriver()
    with pytest.raises(UnknownAccount):
        driver.accounts.get("a9")
    with pytest.raises(UnknownCall):
        driver.calls.bye({"call": "c9"})


@pytest.mark.parametrize(
    ("code", "reason", "phrase", "told"),
    [
        (486, 6, "Busy here", 486),
        (503, Reason.IO_ERROR, "io error", None),
        (503, Reason.IO_ERROR, "Service unavailable", 503),
        (408, Reason.NO_RESPONSE, "timeout", None),
        (0, Reason.NONE, None, None),
    ],
)
def test_a_code_that_no_peer_sent_is_not_told(code: int, reason: int, phrase: str | None, told: int | None) -> None:
    api = FakeApi(error_info_get_protocol_code=code, error_info_get_reason=reason, error_info_get_phrase=phrase)
    assert outcome(api, 1)[0] == told


def test_the_states_of_an_outgoing_call() -> None:
    driver = FakeDriver(core_invite_address_with_params=77)
    account = driver.add()
    driver.calls._inviting = driver.accounts.get(account)
    driver.happen(77, CallState.OUTGOING_INIT)
    driver.calls._inviting = None
    driver.happen(
        77, CallState.OUTGOING_RINGING, CallState.OUTGOING_EARLY_MEDIA, CallState.CONNECTED, CallState.RUNNING, CallState.PAUSING,
        CallState.PAUSED, CallState.RESUMING, CallState.RUNNING, CallState.PAUSED_BY_REMOTE, CallState.RUNNING,
        CallState.END, CallState.RELEASED,
    )  # fmt: skip
    assert driver.states() == [
        ("ringing", None), ("established", 200), ("held", None), ("resumed", None), ("held", None), ("resumed", None), ("terminated", 200),
    ]  # fmt: skip
    assert not driver.calls.live


@pytest.fixture
def cancelled() -> FakeDriver:
    """A driver whose call 77 rang, was cancelled, and is not released yet."""
    driver = FakeDriver()
    driver.calls._inviting = driver.accounts.get(driver.add())
    driver.happen(77, CallState.OUTGOING_INIT, CallState.OUTGOING_RINGING)
    driver.calls.cancel({"call": driver.calls._pointers[77].id})
    driver.happen(77, CallState.END)
    return driver


def test_a_cancelled_call_ends_when_the_invite_is_answered(cancelled: FakeDriver) -> None:
    assert cancelled.states()[-1][0] == "ringing"
    cancelled.happen(77, CallState.RELEASED)
    assert cancelled.states()[-1] == ("terminated", None)
    cancelled.turn()
    assert [state for state, _ in cancelled.states()].count("terminated") == 1


def test_a_cancelled_call_that_is_never_released_ends_too(cancelled: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 5)
    cancelled.turn()
    assert cancelled.states()[-1] == ("terminated", None)


def test_digits_go_out_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver(call_send_dtmf=0)
    driver.calls._inviting = driver.accounts.get(driver.add())
    driver.happen(77, CallState.OUTGOING_INIT, CallState.RUNNING)
    call = driver.calls._pointers[77].id
    now = time.monotonic()
    for digits, via in (("5#", "rfc4733"), ("1", "info")):
        driver.calls.dtmf({"call": call, "digits": digits, "via": via})
    sent = []
    for late in (0.0, 0.1, 0.5, 0.6, 1.0, 1.5):
        monkeypatch.setattr(time, "monotonic", lambda late=late: now + late)
        driver.turn()
        sent.append([arguments[1] for name, arguments in driver.api.called if name == "call_send_dtmf"])
    assert sent == [[b"5"], [b"5"], [b"5", b"#"], [b"5", b"#"], [b"5", b"#", b"1"], [b"5", b"#", b"1"]]
    assert ("core_set_use_info_for_dtmf", (1, 1)) in driver.api.called


def test_an_incoming_call_rings_only_when_told() -> None:
    driver = FakeDriver()
    driver.add()
    driver.happen(88, CallState.INCOMING)
    assert [event["event"] for event in driver.events] == ["call.incoming"]
    call = driver.events[0]["call"]
    driver.calls.ring({"call": call})
    driver.calls.answer({"call": call})
    with pytest.raises(BadState):
        driver.calls.bye({"call": call})
    driver.happen(88, CallState.CONNECTED, CallState.RUNNING)
    assert driver.states() == [("ringing", 180), ("established", 200)]


def test_dtls_is_told_after_its_handshake_only() -> None:
    driver = FakeDriver(call_params_get_media_encryption=0)
    driver.add(media="dtls")
    driver.happen(88, CallState.INCOMING, CallState.RUNNING)
    assert [event.get("encryption") for event in driver.events if event["event"] == "call.media"] == [None]
    driver.api.answers["call_params_get_media_encryption"] = 3
    driver.calls._on_encryption(1, 88, 1, b"")
    assert [event.get("encryption") for event in driver.events if event["event"] == "call.media"] == [None, "dtls"]


def test_a_call_made_by_a_refer_is_told_as_outgoing() -> None:
    driver = FakeDriver()
    driver.add()
    driver.happen(99, CallState.OUTGOING_INIT)
    assert driver.events[0]["event"] == "call.outgoing"


FAKE_DRIVER = r"""
import json, os, socket, sys
for line in sys.stdin:
    path = line.split()[0]
    pid = os.fork()
    if pid == 0:
        link = socket.socket(socket.AF_UNIX)
        link.connect(path)
        def say(**message): link.sendall(json.dumps(message).encode() + b"\n")
        say(event="ready", pid=os.getpid())
        for request in map(json.loads, link.makefile("rb")):
            method = request["method"]
            answer = {"account.add": {"account": "x1"}, "call.invite": {"call": "y1"}, "version": {"version": "5.3"}}
            if method == "call.bye":
                os.kill(os.getpid(), 11)
            if method == "call.hold":
                say(id=request["id"], error={"code": "bad-state", "message": "no"})
                continue
            say(id=request["id"], result=answer.get(method, {}))
            if method == "leave":
                os._exit(0)
            if method == "call.invite":
                say(event="call.state", t=1, source="native", call="y1", state="ringing")
    os.write(1, b"\ndriver ended: %d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


class Lab:
    """The lab's side of the agent's pipes."""

    def __init__(self, folder: Path) -> None:
        into, self._write = os.pipe()
        self._read, out = os.pipe()
        self._rest = b""
        agent = agent_module.LinphoneAgent(config(folder), Wire(into, out))
        agent._install_signals = lambda: None  # type: ignore[method-assign]
        agent._give_up = lambda: None  # type: ignore[method-assign]  # would end pytest
        self.thread = threading.Thread(target=agent.run, daemon=True)
        self.thread.start()
        self._number = 0

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer; events before it are kept in `passed`."""
        self._number += 1
        os.write(self._write, json.dumps({"id": self._number, "method": method, "params": params}).encode() + b"\n")
        self.passed: list[dict[str, Any]] = []
        while True:
            message = self.next()
            if message.get("id") == self._number:
                return message
            self.passed.append(message)

    def next(self) -> dict[str, Any]:
        """The next line; TimeoutError after 10 s, so that a missing one fails its test instead of stopping all."""
        while b"\n" not in self._rest:
            if not select.select([self._read], [], [], 10.0)[0]:
                raise TimeoutError("the agent said nothing for 10 s")
            self._rest += os.read(self._read, 65536)
        line, _, self._rest = self._rest.partition(b"\n")
        return dict(json.loads(line))

    def close(self) -> None:
        os.close(self._write)
        self.thread.join(5)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    script = tmp_path / "fake_driver.py"
    script.write_text(FAKE_DRIVER)
    spawn = agent_module.LinphoneAgent.spawn
    monkeypatch.setattr(agent_module, "DATA", str(tmp_path / "data"))
    monkeypatch.setattr(agent_module, "RtpIo", lambda tone: _Silent())
    monkeypatch.setattr(agent_module.LinphoneAgent, "spawn", lambda self, argv, **options: spawn(self, [argv[0], str(script)], **options))
    lab = Lab(tmp_path)
    yield lab
    lab.close()


class _Silent:
    """RtpIo without sockets."""

    def __getattr__(self, name: str) -> Any:
        return self if name in ("recorder", "recording") else lambda *_: None


def test_ids_are_the_agents_and_events_follow_the_answer(lab: Lab) -> None:
    assert lab.ask("hello")["result"]["version"] == "5.3"
    account = lab.ask("account.add", **ACCOUNT)["result"]["account"]
    call = lab.ask("call.invite", account=account, target="sip:bob@biloxi.example")["result"]["call"]
    assert [lab.next()["state"], lab.next()] == [
        "calling",
        {"event": "call.state", "t": pytest.approx(0, abs=1e12), "source": "native", "call": call, "state": "ringing"},
    ]
    assert lab.ask("call.hold", call=call)["error"] == {"code": "bad-state", "message": "no"}


def test_a_crash_is_a_fault_with_its_signal_and_ends_the_calls(lab: Lab) -> None:
    account = lab.ask("account.add", **ACCOUNT)["result"]["account"]
    call = lab.ask("call.invite", account=account, target="sip:bob@biloxi.example")["result"]["call"]
    assert lab.ask("call.bye", call=call)["error"]["code"] == "fault"
    told = [event for event in lab.passed if event["event"] == "fault" or event.get("state") == "terminated"]
    while len(told) < 2:
        told += [event for event in [lab.next()] if event["event"] == "fault" or event.get("state") == "terminated"]
    assert [told[0]["signal"], told[1]["call"]] == [11, call]
    assert lab.ask("register", account=account)["error"]["code"] == "fault"


def test_reset_makes_a_new_driver_and_forgets(lab: Lab) -> None:
    account = lab.ask("account.add", **ACCOUNT)["result"]["account"]
    assert lab.ask("reset")["result"] == {}
    assert lab.ask("register", account=account)["error"]["code"] == "unknown-account"
    assert lab.ask("account.add", **ACCOUNT)["result"]["account"] != account
    assert not lab.passed


def test_the_tone_is_sent_as_rtp_and_what_comes_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ear.bind(("127.0.0.1", 0))
    ear.settimeout(5)
    monkeypatch.setattr(media, "RTP_IO_IN", ear.getsockname()[1])
    monkeypatch.setattr(media, "RTP_IO_OUT", 0)
    audio = media.RtpIo(440)
    done = threading.Event()
    audio.recorder.start(str(tmp_path / "r.wav"), 0.2, lambda *_: done.set())
    audio.recording.set()
    audio.speak(True)
    packets = []
    for _ in range(12):
        packet, sender = ear.recvfrom(2048)
        packets.append(packet)
        ear.sendto(packet, sender)
    assert done.wait(5)
    audio.speak(False)
    numbers = [struct.unpack("!HI", packet[2:8]) for packet in packets]
    assert [number - numbers[0][0] for number, _ in numbers] == list(range(12))
    assert {len(packet) for packet in packets} == {172}
    second = pcmu_encode(sine(440, 8000))
    assert packets[0][12:] in {second[start : start + 160] for start in range(0, 8000, 160)}
    assert (tmp_path / "r.wav").stat().st_size == 44 + 3200


def test_the_list_structure_is_that_of_bctoolbox() -> None:
    from siplab_linphone.api import BctbxList

    assert ctypes.sizeof(BctbxList) == 3 * ctypes.sizeof(ctypes.c_void_p)
    assert [name for name, _ in BctbxList._fields_] == ["next", "prev", "data"]


class LibraryOf51(FakeApi):
    """liblinphone without the functions that came after 5.1."""

    def __getattr__(self, name: str) -> Any:
        if name in ("linphone_call_params_get_account", "linphone_call_params_set_account"):
            raise AttributeError(name)
        function = self.__dict__.setdefault(name, super().__getattr__(name))
        return function


def test_a_library_without_an_account_per_call_is_driven_all_the_same(monkeypatch):
    monkeypatch.setenv("SIPLAB_LINPHONE", "liblinphone.so.10")
    monkeypatch.setattr(ctypes, "CDLL", {"liblinphone.so.10": LibraryOf51(), None: FakeApi()}.__getitem__)
    api = Api()
    assert api.call_params_set_account(1, 2) is None
    assert api.call_params_get_account(1) is None
    assert api.call_get_state(1)
