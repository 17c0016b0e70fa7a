"""The engine behind TCP and TLS (DOCKER_HOST, DOCKER_TLS_VERIFY), as a remote one is: streams, half-close and archives work the same."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab.errors import RuntimeFault
from lab.runtime.base import ContainerSpec, FileContent
from lab.runtime.docker import DockerRuntime
from lab.runtime.docker_tls import tunnel
from lab.runtime.labels import Identity
from lab.runtime.reaper import remove_lab

ENGINE = "/var/run/docker.sock"
pytestmark = [pytest.mark.docker, pytest.mark.skipif(not Path(ENGINE).exists(), reason="the engine is a remote one already")]


def certificates(folder: Path) -> None:
    """One self-signed certificate for everything: ca.pem, cert.pem, key.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "engine")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ca.pem").write_bytes(pem)
    (folder / "cert.pem").write_bytes(pem)
    (folder / "key.pem").write_bytes(key.private_bytes(*encoding))


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Copy until the end and pass the half-close on."""
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = listener.accept()
            client = tunnel(plain, context, server_side=True)
        except (ssl.SSLError, ConnectionError):
            continue
        except OSError:
            return
        engine = socket.socket(socket.AF_UNIX)
        engine.connect(ENGINE)
        for pair in ((client, engine), (engine, client)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A TLS front of the local engine that demands a client certificate."""
    certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.pem"))
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, context), daemon=True).start()
    yield {"DOCKER_HOST": f"tcp://127.0.0.1:{listener.getsockname()[1]}", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    listener.close()


def test_a_remote_engine_does_all_a_local_one_does(environment: dict[str, str]) -> None:
    runtime, identity = DockerRuntime(environment), Identity()
    script = "while read l; do echo got $l; done; echo bye >&2"
    try:
        handle = runtime.create(
            ContainerSpec(identity.name("one"), "siplab/helper:1", command=("sh", "-c", script), stdin=True, labels=identity.labels())
        )
        runtime.put(handle, {"/etc/siplab/x": FileContent(b"1" * 100_000)})
        channel = runtime.attach(handle)
        runtime.start(handle)
        lines = channel.lines()
        channel.send(b"one")
        assert next(lines) == b"got one"
        big = bytes(range(256)) * 2000
        assert runtime.exec(handle, ("cat",), stdin=big).stdout == big, "half-close must reach the command"
        stream = runtime.stream(handle, ("sh", "-c", "echo 1; exit 5"))
        assert b"".join(stream.chunks()) == b"1\n"
        follow = runtime.follow_logs(handle)
        channel.close()
        assert b"".join(follow.chunks()).splitlines() == [b"got one", b"bye"], "half-close must reach the main process"
        assert runtime.fetch(handle, "/etc/siplab/x") == {"x": b"1" * 100_000}
    finally:
        remove_lab(runtime, identity.selector)


def test_an_engine_of_unknown_authority_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    certificates(other)
    with pytest.raises(RuntimeFault, match="CERTIFICATE_VERIFY_FAILED"):
        DockerRuntime({**environment, "DOCKER_CERT_PATH": str(other)})
