"""Frames, lines, requests: the raw side of the Engine API, without an engine."""

import json
import os
import socket
import struct
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import RuntimeFault
from lab.runtime.base import FileContent
from lab.runtime.docker_archive import pack, unpack
from lab.runtime.docker_endpoint import engine_address
from lab.runtime.docker_streams import DockerChannel, DockerStream, finish
from lab.runtime.docker_wire import Connection, Demultiplexer, Endpoint, Lines, Refused


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxL", kind, len(payload)) + payload


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300))), st.integers(1, 50))
def test_frames_survive_any_cut(frames: list[tuple[int, bytes]], size: int) -> None:
    wire = b"".join(frame(kind, payload) for kind, payload in frames)
    demultiplexer = Demultiplexer()
    assert [found for piece in cut(wire, size) for found in demultiplexer.feed(piece)] == frames
    assert not demultiplexer.cut_off


def test_a_stream_that_ends_inside_a_frame_is_cut_off() -> None:
    demultiplexer = Demultiplexer()
    assert list(demultiplexer.feed(frame(1, b"abc")[:-1])) == []
    assert demultiplexer.cut_off


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line and not line.endswith(b"\r"))), st.integers(1, 9))
def test_lines_survive_any_cut(lines: list[bytes], size: int) -> None:
    cutter = Lines()
    wire = b"".join(line + b"\n" for line in lines) + b"rest"
    assert [line for piece in cut(wire, size) for line in cutter.feed(piece)] == lines
    assert cutter.rest() == b"rest"


def test_a_line_without_an_end_is_cut() -> None:
    cutter = Lines(longest=10)
    assert list(cutter.feed(b"x" * 25)) == [b"x" * 10, b"x" * 10]
    assert list(cutter.feed(b"\n")) == [b"x" * 5]


def engine(answer: bytes) -> tuple[Connection, socket.socket]:
    ours, theirs = socket.socketpair()
    theirs.sendall(answer)
    return Connection(ours), theirs


def test_bytes_that_come_with_the_answer_are_not_lost() -> None:
    connection, theirs = engine(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n" + frame(1, b"early"))
    connection.request("POST", "/v1.41/exec/1/start", {"Tty": False})
    assert theirs.recv(4096).startswith(b"POST /v1.41/exec/1/start HTTP/1.1")
    theirs.sendall(frame(2, b"late"))
    theirs.close()
    assert finish("x", connection, None, 5) == (b"early", b"late")


def test_a_refusal_carries_the_engines_words() -> None:
    body = json.dumps({"message": "No such exec instance"}).encode()
    connection, _ = engine(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    with pytest.raises(Refused, match="No such exec instance"):
        connection.request("POST", "/v1.41/exec/1/start", {})


def test_an_engine_that_hangs_up_is_an_error() -> None:
    connection, theirs = engine(b"HTTP/1.1 ")
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError):
        connection.request("GET", "/v1.41/containers/x/logs")


def test_a_stream_cut_inside_a_frame_is_a_fault_and_no_short_output() -> None:
    connection, theirs = engine(frame(1, b"whole") + frame(1, b"torn")[:-2])
    theirs.close()
    chunks = DockerStream("x", connection).chunks()
    assert next(chunks) == b"whole"
    with pytest.raises(RuntimeFault, match="broke off"):
        next(chunks)


def test_a_closed_stream_ends_quietly_even_inside_a_frame() -> None:
    connection, theirs = engine(frame(1, b"torn")[:-2])
    stream = DockerStream("x", connection)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.extend(stream.chunks()))
    reader.start()
    stream.close()
    reader.join(5)
    assert not reader.is_alive()
    assert heard == []
    theirs.close()


def test_a_channel_whose_far_end_reads_nothing_fails_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.runtime.docker_streams._SEND_SECONDS", 1)
    connection, _theirs = engine(b"")
    with pytest.raises(RuntimeFault, match="cannot write to stdin"):
        DockerChannel("x", connection).send(bytes(10_000_000))


def test_ssh_speaks_dial_stdio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "ssh"
    script.write_text('#!/bin/sh\nprintf "%s " "$@"\nexec cat\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    connection = Endpoint("ssh://me@far:2222").dial(5)
    connection.settimeout(5)
    connection.send(b"ping")
    connection.half_close()
    heard = b""
    while data := connection.recv():
        heard += data
    connection.close()
    assert heard == b"-T -l me -p 2222 -- far docker system dial-stdio ping"


def test_the_engine_is_found_as_the_docker_command_does(tmp_path: Path) -> None:
    base = {"DOCKER_CONFIG": str(tmp_path)}
    assert engine_address(base).url == "unix:///var/run/docker.sock"
    assert engine_address({**base, "DOCKER_HOST": "tcp://far:2375"}).certificates is None
    secure = engine_address({**base, "DOCKER_HOST": "tcp://far:2376", "DOCKER_TLS_VERIFY": "1"})
    assert (secure.certificates, secure.verify) == (tmp_path, True)
    with pytest.raises(RuntimeFault, match="DOCKER_CERT_PATH"):
        secure.endpoint()
    folder = tmp_path / "contexts/meta/4e82de75f3e13f6b9ee92ef8bd1c6b8ec0c6b4b8f5b0a7e2a8a8d2b3d2f4f1aa"
    folder.mkdir(parents=True)
    with pytest.raises(RuntimeFault, match="'lab' cannot be read"):
        engine_address({**base, "DOCKER_CONTEXT": "lab"})


def test_a_context_names_the_engine(tmp_path: Path) -> None:
    from hashlib import sha256

    meta = tmp_path / "contexts/meta" / sha256(b"lab").hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": "lab", "Endpoints": {"docker": {"Host": "unix:///run/other.sock", "SkipTLSVerify": False}}}))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "lab"}))
    assert engine_address({"DOCKER_CONFIG": str(tmp_path)}).url == "unix:///run/other.sock"


def test_archives_keep_content_and_mode() -> None:
    files = {"/etc/a/b": FileContent(b"1", 0o600), "/etc/a/c": FileContent(b"")}
    packed = pack(files)
    assert unpack([packed[:700], packed[700:]]) == {"a/b": b"1", "a/c": b""}
    assert unpack([pack({"/x": FileContent(b"2")})]) == {"x": b"2"}


@pytest.mark.parametrize(
    "url",
    [
        "garbage",
        "localhost:2375",
        "tcp://",
        "tcp://[::1",
        "tcp://far:99999999",
        "unix://",
        "fd://",
        "npipe:////./pipe/x",
        "tcp://a\nb",
    ],
)
def test_an_address_that_is_none_is_one_line(url):
    with pytest.raises(RuntimeFault) as error:
        engine_address({"DOCKER_HOST": url})
    assert str(error.value).endswith(
        " is no address of a container engine; write unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST, or unset it"
    )
    assert len(str(error.value).splitlines()) == 1
