"""The evidence against real packets: capture, barriers, decryption, SRTP, and what must go wrong when it is wrong."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest

from lab.errors import EvidenceError
from lab.evidence.capture import Capture
from lab.evidence.wire import Wire
from lab.plan.model import Domain, Element, Interface, Listener, Network, Plan
from lab.runtime.base import Attachment, ContainerSpec, FileContent, NetworkSpec
from lab.runtime.docker import DockerRuntime

pytestmark = pytest.mark.docker
HELPER = os.environ.get("SIPLAB_TEST_HELPER", "siplab/helper:1")
SPEAKER = os.environ.get("SIPLAB_TEST_SPEAKER", "siplab/siplab-dns:1")
KEYS = "/var/lib/siplab/keys"
NETWORK = IPv4Network("198.18.113.0/24"), IPv6Network("2001:db8:113::/64")
ADDRESSES = {"alice": 11, "pa": 12, "bob": 13}
TALK = (Path(__file__).parent / "evidence_talk.py").read_bytes()
KEY = base64.b64encode(bytes(range(30))).decode()
OTHER_KEY = base64.b64encode(bytes(range(1, 31))).decode()


def address(name: str, family: int = 4) -> str:
    return str(NETWORK[0 if family == 4 else 1][ADDRESSES[name]])


def plan() -> Plan:
    def element(name: str, role: str, listeners: tuple[Listener, ...] = ()) -> Element:
        place = Interface("internet", IPv4Address(address(name)), IPv6Address(address(name, 6)))
        return Element(name, role, "test", "1", (place,), f"{name}.atlanta.example", "atlanta.example", listeners=listeners)

    doors = tuple(Listener("tls", port, "pa.atlanta.example", "pa") for port in (5061, 5071, 5072))
    elements = (element("alice", "user-agent"), element("pa", "proxy", doors), element("bob", "user-agent"))
    return Plan("bench", "", 1, (Network("internet", *NETWORK),), (Domain("atlanta.example", "pa", ()),), elements, ())


@dataclass
class Bench:
    runtime: DockerRuntime
    helper: str
    bridge: str
    folder: Path
    handles: dict[str, str] = field(default_factory=dict)
    capture: Capture = field(init=False)

    def __post_init__(self) -> None:
        self.capture = Capture(self.runtime, self.helper, [self.bridge], self.folder, plan())

    def serve(self, transport: str, port: int, *, logs_keys: bool = True, family: int = 4) -> None:
        """The proxy answers 200 to all; its keys come from Python's own key log, as any OpenSSL program's from the shim."""
        options = json.dumps({"keylog": f"{KEYS}/pa.log" if logs_keys else None})
        argv = ("python3", "/talk.py", "serve", transport, address("pa", family), str(port), options)
        assert b"ready" in next(self.runtime.stream(self.handles["pa"], argv).chunks())

    def dial(self, transport: str, port: int, messages: list[str], *, family: int = 4, **options: object) -> str:
        argv = ("python3", "/talk.py", "dial", transport, address("pa", family), str(port), json.dumps(options))
        result = self.runtime.exec(self.handles["alice"], argv, stdin=json.dumps(messages).encode())
        return (result.stdout + result.stderr).decode()

    def send(self, packets: list[bytes]) -> None:
        argv = ("python3", "/talk.py", "media", "udp", address("bob"), "40002", json.dumps({"from": 40000}))
        result = self.runtime.exec(self.handles["alice"], argv, stdin=json.dumps([p.hex() for p in packets]).encode())
        assert result.exit_code == 0, result.stderr


def message(method: str, number: int, body: str = "", transport: str = "UDP") -> str:
    call = os.environ["PYTEST_CURRENT_TEST"].split()[0]  # one for each test: what a wire saw before is not its own
    kind = "Content-Type: application/sdp\r\n" if body.startswith("v=0") else ""
    return (
        f"{method} sip:bob@biloxi.example SIP/2.0\r\nVia: SIP/2.0/{transport} {address('alice')};branch=z9hG4bK{number}\r\n"
        f"Record-Route: <sip:pa.atlanta.example;lr>\r\nMax-Forwards: 70\r\nFrom: <sip:alice@atlanta.example>;tag=1\r\n"
        f"To: <sip:bob@biloxi.example>\r\nCall-ID: {call}\r\nCSeq: {number} {method}\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}"
    )


def sdp(name: str = "alice", port: int = 40000, profile: str = "RTP/SAVP", key: str = KEY, suite: str = "AES_CM_128_HMAC_SHA1_80") -> str:
    crypto = f"a=crypto:1 {suite} inline:{key}|2^31\r\n" if profile == "RTP/SAVP" else ""
    return f"v=0\r\no=- 1 1 IN IP4 {address(name)}\r\ns=-\r\nc=IN IP4 {address(name)}\r\nt=0 0\r\nm=audio {port} {profile} 0\r\n{crypto}"


def rtp(count: int = 60) -> list[bytes]:
    """PCMU that is audible: a square wave, 20 ms a packet."""
    tone = bytes([0x10] * 10 + [0x90] * 10) * 8
    return [
        bytes([0x80, 0]) + (65500 + n).__mod__(65536).to_bytes(2, "big") + (160 * n).to_bytes(4, "big") + b"\x12\x34\x56\x78" + tone
        for n in range(count)
    ]


def protect(packets: list[bytes], key: str = KEY) -> list[bytes]:
    from pylibsrtp import Policy, Session

    session = Session(Policy(key=base64.b64decode(key), ssrc_type=Policy.SSRC_ANY_OUTBOUND))
    return [session.protect(packet) for packet in packets]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    runtime, tag = DockerRuntime(), secrets.token_hex(3)
    label = {"slt-evi": tag}
    made: list[Callable[[], None]] = []
    try:
        network = runtime.create_network(NetworkSpec(f"slt-evi-{tag}", f"sltevi{tag}", *NETWORK, labels=label))
        made.append(lambda: runtime.remove_network(network))
        volume = runtime.create_volume(f"slt-evi-{tag}", label)
        made.append(lambda: runtime.remove_volume(volume))

        def container(name: str, spec: ContainerSpec) -> str:
            handle = runtime.create(spec)
            made.append(lambda: runtime.remove(handle))
            runtime.put(handle, {"/talk.py": FileContent(TALK)})
            runtime.start(handle)
            return handle

        sleep = ("sleep", "infinity")
        helper = container(
            "helper",
            ContainerSpec(
                f"slt-evi-helper-{tag}",
                HELPER,
                host_network=True,
                command=sleep,
                capabilities=("NET_ADMIN", "NET_RAW"),
                volumes={volume: (KEYS, True)},
                labels=label,
            ),
        )
        bench = Bench(runtime, helper, f"sltevi{tag}", tmp_path_factory.mktemp("evidence"))
        for name in ADDRESSES:
            place = Attachment(network, address(name), address(name, 6))
            spec = ContainerSpec(f"slt-evi-{name}-{tag}", SPEAKER, (place,), command=sleep, volumes={volume: (KEYS, True)}, labels=label)
            bench.handles[name] = container(name, spec)
        runtime.put(bench.handles["pa"], {"/s.pem": FileContent(_certificate(tmp_path_factory.mktemp("tls")))})
        bench.capture.start()
        for transport, port in (("udp", 5060), ("tcp", 5060), ("tls", 5061), ("tls", 5071)):
            bench.serve(transport, port)
        bench.serve("udp", 5060, family=6)
        bench.serve("tls", 5072, logs_keys=False)
        yield bench
    finally:
        for undo in reversed(made):
            undo()


def _certificate(folder: Path) -> bytes:
    names = "subjectAltName=DNS:pa.atlanta.example,URI:sip:atlanta.example"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=pa",
        "-addext",
        names,
    ]
    subprocess.run([*command, "-keyout", folder / "key", "-out", folder / "cert"], check=True, capture_output=True)
    return (folder / "cert").read_bytes() + (folder / "key").read_bytes()


@pytest.fixture
def wire(bench: Bench, request: pytest.FixtureRequest) -> Wire:
    return Wire(bench.capture, request.node.name)


def test_a_mark_takes_less_than_a_second(bench: Bench) -> None:
    took = []
    for number in range(5):
        begun = time.monotonic()
        bench.capture.mark(f"latency {number}")
        took.append(time.monotonic() - begun)
    print("mark:", [round(seconds, 3) for seconds in took])
    assert sorted(took)[2] < 1.0


def test_an_empty_scenario_proves_nothing(wire: Wire) -> None:
    with pytest.raises(EvidenceError, match="no SIP message captured"):
        wire.signalling.all_over("tls")
    with pytest.raises(EvidenceError, match="no RTP packet captured"):
        wire.media.all_srtp()
    with pytest.raises(EvidenceError, match="nothing captured between alice and pa"):
        wire.signalling.no_sip_bytes("alice", "pa", port=5061)
    assert wire.media.none()


@pytest.mark.parametrize(("transport", "port"), [("udp", 5060), ("tcp", 5060), ("tls", 5061), ("tls", 5071)])
def test_every_transport_is_read(bench: Bench, wire: Wire, transport: str, port: int) -> None:
    long = message("MESSAGE", 3, "x" * 1100)
    keep_alive = "\r\n\r\n" + message("OPTIONS", 4) if transport != "tls" else message("OPTIONS", 4)
    assert not bench.dial(
        transport, port, [message("INVITE", 1, sdp()), message("BYE", 2) + long if transport != "udp" else long, keep_alive]
    )
    signalling = wire.signalling
    assert signalling.all_over(transport)
    assert [m.method for m in signalling.requests()][:1] == ["INVITE"]
    assert signalling.requests("MESSAGE")[0].raw == long.encode()
    assert signalling.requests("OPTIONS")
    assert signalling.between("alice", "pa").responses(200)
    assert signalling.requests("INVITE")[0].raw == message("INVITE", 1, sdp()).encode()
    assert not signalling.all_over("udp" if transport != "udp" else "tls")


@pytest.mark.parametrize("family", [4, 6])
def test_a_message_in_fragments_is_read(bench: Bench, wire: Wire, family: int) -> None:
    """UDP leaves what is longer than the MTU to IP (RFC 791 §3.2, RFC 8200 §4.5): an INVITE through two proxies is."""
    long = message("MESSAGE", 1, "x" * 2500)
    assert not bench.dial("udp", 5060, [long], family=family)
    (request,) = wire.signalling.requests("MESSAGE")
    assert request.raw == long.encode()
    assert (request.src.element, request.dst.element) == ("alice", "pa")


def test_tls_1_2_is_read(bench: Bench, wire: Wire) -> None:
    assert not bench.dial("tls", 5061, [message("OPTIONS", 1)], tls12=True)
    assert wire.signalling.requests("OPTIONS").all_over("tls")


@pytest.mark.parametrize("tls12", [True, False])
def test_without_keys_nothing_is_claimed(bench: Bench, wire: Wire, tls12: bool) -> None:
    assert not bench.dial("tls", 5072, [message("OPTIONS", 1)], tls12=tls12)
    with pytest.raises(EvidenceError, match="cannot be decrypted"):
        _ = wire.signalling
    with pytest.raises(EvidenceError, match="cannot be decrypted"):
        _ = wire.media


def test_a_refused_certificate_lets_no_sip_pass(bench: Bench, wire: Wire) -> None:
    assert "CERTIFICATE_VERIFY_FAILED" in bench.dial("tls", 5071, [message("OPTIONS", 1)], verify=True)
    assert wire.tls.attempted("alice", "pa", port=5071)
    assert wire.signalling.no_sip_bytes("alice", "pa", port=5071)
    assert [alert.name for alert in wire.tls.alerts] == ["unknown_ca"]
    assert wire.tls.server_names == ("pa.atlanta.example",)
    assert "sip:atlanta.example" in wire.tls.certificate_names


def test_sip_bytes_are_seen(bench: Bench, wire: Wire) -> None:
    assert not bench.dial("tls", 5071, [message("OPTIONS", 1)])
    check = wire.signalling.no_sip_bytes("alice", "pa", port=5071)
    assert not check
    assert check.blame == "alice"


def test_srtp_authenticates_with_the_negotiated_key_only(bench: Bench, wire: Wire) -> None:
    bench.dial("tls", 5061, [message("INVITE", 1, sdp())])
    bench.send(protect(rtp()))
    media = wire.media
    assert media.all_srtp()
    assert media.no_clear_rtp()
    assert not media.all_rtp()
    assert not media.none()
    (flow,) = media.flows
    assert (flow.src.element, flow.dst.element, flow.payload_type, len(flow.packets)) == ("alice", "bob", 0, 60)
    from lab.evidence.sdp import Crypto

    assert media.authenticate(flow, [Crypto("1", "AES_CM_128_HMAC_SHA1_80", OTHER_KEY)]).authentic == 0


def test_another_key_than_the_negotiated_is_found_out(bench: Bench, wire: Wire) -> None:
    bench.dial("tls", 5061, [message("INVITE", 1, sdp())])
    bench.send(protect(rtp(), OTHER_KEY))
    check = wire.media.all_srtp()
    assert not check
    assert "0 of 60" in check.what
    assert check.blame == "alice"


def test_clear_rtp_under_savp_is_found_out(bench: Bench, wire: Wire) -> None:
    bench.dial("tls", 5061, [message("INVITE", 1, sdp())])
    bench.send([*protect(rtp(40)), *rtp(60)[40:]])
    check = wire.media.all_srtp()
    assert not check
    assert "40 of 60" in check.what
    assert check.frame
    assert not wire.media.no_clear_rtp()


def test_plain_rtp_is_plain(bench: Bench, wire: Wire) -> None:
    bench.dial("udp", 5060, [message("INVITE", 1, sdp(profile="RTP/AVP"))])
    bench.send(rtp())
    assert wire.media.all_rtp()
    assert not wire.media.all_srtp()
    assert not wire.media.no_clear_rtp()


def test_a_scenario_sees_only_its_own(bench: Bench) -> None:
    first = Wire(bench.capture, "first")
    bench.dial("udp", 5060, [message("OPTIONS", 1)])
    first.close()
    second = Wire(bench.capture, "second")
    late = message("OPTIONS", 1)
    bench.dial("udp", 5060, [late, message("MESSAGE", 2, "x")])
    assert [m.method for m in first.signalling.requests()] == ["OPTIONS"]
    assert [m.method for m in second.signalling.requests()] == ["MESSAGE"]
    assert not second.wait(lambda m: m.method == "BYE", within=0.1)


def test_a_cell_is_saved(bench: Bench, wire: Wire, tmp_path: Path) -> None:
    bench.dial("tls", 5061, [message("INVITE", 1, sdp())])
    bench.send(protect(rtp()))
    names = [path.name for path in wire.save(tmp_path, [{"t": 1.0, "source": "alice", "kind": "step"}])]
    assert names == ["ladder.svg", "ladder.txt", "timeline.jsonl"]
    assert "INVITE" in (tmp_path / "ladder.txt").read_text()
    assert "SRTP payload type 0, 60 packets" in (tmp_path / "ladder.svg").read_text()
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "timeline.jsonl").read_text().splitlines()]
    assert kinds[0] == "step"
    assert {"sip", "tls"} <= set(kinds)


def test_zz_the_final_capture_opens_decrypted(bench: Bench) -> None:
    """Last: it ends the module's capture."""
    bench.capture.stop()
    assert b"SECRET" in bench.capture.keys.read_bytes()
    bench.runtime.put(bench.helper, {"/tmp/check.pcapng": FileContent(bench.capture.path.read_bytes())})
    result = bench.runtime.exec(bench.helper, ("tshark", "-r", "/tmp/check.pcapng", "-Y", "tls && sip.Method == INVITE"), user="nobody")
    assert b"INVITE" in result.stdout, result.stderr
    assert bench.capture.dropped == 0


def test_a_bridge_that_is_not_there_is_an_error(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="dumpcap did not start"):
        Capture(bench.runtime, bench.helper, ["sltevinone"], tmp_path, plan()).start(deadline=8)
