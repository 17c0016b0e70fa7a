"""TLS under a plain socket: both ways at once, half-closes, ends without close_notify, no spinning."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lab.runtime.docker_tls import tunnel

BIG = bytes(range(256)) * 20_000


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(client, server) around one self-signed certificate for `engine`."""
    folder: Path = tmp_path_factory.mktemp("tls")
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("engine")]), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "both.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return ssl.create_default_context(cafile=str(pem)), server


Ends = tuple[socket.socket, socket.socket, socket.socket]


@pytest.fixture
def ends(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Ends:
    """The two plain ends, and the raw socket below the far one."""
    near, far = socket.socketpair()
    for sock in (near, far):
        sock.settimeout(10)
    made: list[socket.socket] = []
    server = threading.Thread(target=lambda: made.append(tunnel(far, contexts[1], server_side=True)))
    server.start()
    ours = tunnel(near, contexts[0], server_hostname="engine")
    server.join(10)
    for sock in (ours, made[0]):
        sock.settimeout(10)
    return ours, made[0], far


def read_all(sock: socket.socket) -> bytes:
    heard = bytearray()
    while data := sock.recv(65536):
        heard += data
    return bytes(heard)


def test_both_directions_flow_at_once_and_half_closes_arrive(ends: Ends) -> None:
    ours, theirs, _ = ends
    heard: dict[str, bytes] = {}

    def talk(sock: socket.socket) -> None:
        sock.sendall(BIG)
        sock.shutdown(socket.SHUT_WR)

    def listen(name: str, sock: socket.socket) -> None:
        heard[name] = read_all(sock)

    work: list[tuple[object, ...]] = [(talk, ours), (talk, theirs), (listen, "ours", ours), (listen, "theirs", theirs)]
    threads = [threading.Thread(target=what, args=arguments) for what, *arguments in work]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert heard == {"ours": BIG, "theirs": BIG}


def test_one_direction_stays_open_after_the_other_has_ended(ends: Ends) -> None:
    ours, theirs, _ = ends
    ours.shutdown(socket.SHUT_WR)
    assert theirs.recv(10) == b""
    theirs.sendall(b"still here")
    assert ours.recv(20) == b"still here"


def test_what_was_said_before_the_close_arrives(ends: Ends) -> None:
    ours, theirs, _ = ends
    reader: list[bytes] = []
    thread = threading.Thread(target=lambda: reader.append(read_all(theirs)))
    thread.start()
    ours.sendall(BIG)
    ours.close()
    thread.join(10)
    assert reader == [BIG]


def test_a_far_end_that_just_hangs_up_ends_the_stream(ends: Ends) -> None:
    ours, _, far = ends
    far.shutdown(socket.SHUT_RDWR)
    assert ours.recv(10) == b""


def test_an_idle_tunnel_costs_nothing(ends: Ends) -> None:
    ours, theirs, _ = ends
    theirs.shutdown(socket.SHUT_WR)
    assert ours.recv(1) == b""
    before = time.process_time()
    threading.Event().wait(0.5)
    assert time.process_time() - before < 0.1


def test_a_far_end_of_another_name_is_refused(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    near, far = socket.socketpair()

    def serve() -> None:
        with pytest.raises(OSError, match=r"."):
            tunnel(far, contexts[1], server_side=True)

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(ssl.SSLCertVerificationError):
        tunnel(near, contexts[0], server_hostname="other")
    thread.join(10)
