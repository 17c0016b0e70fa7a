"""Finding an engine, and starting one only where that is ours to do."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from images_fakes import FakeMachine

from lab.errors import RuntimeFault
from lab.runtime.docker_endpoint import LOCAL_SOCKET, EngineAddress, engine_address
from lab.runtime.docker_images import connect
from lab.runtime.engine import Contact, Reach, api_is_enough, find_engine, no_engine, reach
from lab.runtime.engine_start import ensure_engine, remove_stale_pid, wait_until_ready
from lab.runtime.machine import Completed, parse_os_release

SYSTEM = EngineAddress(f"unix://{LOCAL_SOCKET}")


def contact(how: Reach = "absent", *, named: bool = False) -> Contact:
    return Contact(SYSTEM, how, "no such file", named=named)


def serve(path: Path, answer: bytes) -> threading.Thread:
    """One connection on a Unix socket, answered with fixed bytes."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(1)

    def run() -> None:
        with server, server.accept()[0] as peer:
            peer.recv(4096)
            peer.sendall(answer)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def at(path: Path) -> EngineAddress:
    return EngineAddress(f"unix://{path}")


def test_ping_reads_the_api_version(tmp_path: Path) -> None:
    thread = serve(tmp_path / "s", b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK")
    found = reach(at(tmp_path / "s"))
    thread.join()
    assert (found.reach, found.api_version) == ("answers", "1.41")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-what\r\n"])
def test_something_else_behind_the_socket_is_silent(tmp_path: Path, answer: bytes) -> None:
    thread = serve(tmp_path / "s", answer)
    assert reach(at(tmp_path / "s")).reach == "silent"
    thread.join()


def test_absent_and_refused_are_told_apart(tmp_path: Path) -> None:
    assert reach(at(tmp_path / "none")).reach == "absent"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "dead"))
    dead.close()
    assert reach(at(tmp_path / "dead")).reach == "refused"


def test_a_rootless_socket_is_found_where_the_systems_may_not_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rootless = f"{tmp_path}/docker.sock"
    monkeypatch.setattr("lab.runtime.docker_endpoint.os.access", lambda path, mode: path == rootless)
    environment = {"XDG_RUNTIME_DIR": str(tmp_path), "DOCKER_CONTEXT": "default"}
    assert engine_address(environment).url == f"unix://{rootless}"
    monkeypatch.setattr("lab.runtime.docker_endpoint.os.access", lambda path, mode: False)
    assert engine_address(environment) == SYSTEM


def test_a_remote_engine_that_does_not_answer_is_silent() -> None:
    found = find_engine({"DOCKER_HOST": "tcp://127.0.0.1:9"})
    assert (found.reach, found.named) == ("silent", True)


def test_the_named_engines_message_names_who_named_it(tmp_path: Path) -> None:
    found = find_engine({"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert found.reach == "absent"
    assert "from DOCKER_HOST" in str(no_engine(found))


@pytest.mark.parametrize(("version", "enough"), [("1.41", True), ("1.40", False), ("1.100", True), ("2.0", True), ("", False)])
def test_api_versions_are_numbers(version: str, enough: bool) -> None:
    assert api_is_enough(version) is enough


def test_an_engine_that_answers_is_never_touched() -> None:
    machine = FakeMachine()
    ensure_engine(print, machine, lambda: Contact(SYSTEM, "answers", api_version="1.41"))
    assert machine.ran == []
    assert machine.spawned == []


@pytest.mark.parametrize(
    ("found", "machine", "words"),
    [
        (contact("denied"), FakeMachine(root=False), "usermod -aG docker"),
        (contact("silent"), FakeMachine(), "read its log"),
        (contact(), FakeMachine(root=False), "needs root; run `sudo siplab doctor --fix`"),
        (contact(), FakeMachine(release={"ID": "fedora", "PRETTY_NAME": "Fedora 42"}), "not on Fedora 42"),
        (contact(named=True), FakeMachine(), "unset DOCKER_HOST"),
    ],
)
def test_where_it_is_not_ours_to_start_one_message_says_what_to_do(found: Contact, machine: FakeMachine, words: str) -> None:
    with pytest.raises(RuntimeFault) as caught:
        ensure_engine(print, machine, lambda: found)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert machine.ran == []


def test_docker_desktop_is_started_by_its_owner() -> None:
    machine = FakeMachine()
    machine.system = "darwin"
    with pytest.raises(RuntimeFault, match="start Docker Desktop"):
        ensure_engine(print, machine, contact)


def test_install_refreshes_missing_lists_and_uses_systemd_where_it_is() -> None:
    machine = FakeMachine(lists=False)
    machine.systemd = True
    machine.on("systemctl", do=Completed(1, "Job for docker.service failed."))
    with pytest.raises(RuntimeFault, match="Job for docker"):
        ensure_engine(print, machine, contact)
    assert [argv[:2] for argv in machine.ran] == [("apt-get", "update"), ("apt-get", "install"), ("systemctl", "start")]
    assert "docker.io" in machine.ran[1]


def test_stale_lists_are_refreshed_once_then_it_is_an_error() -> None:
    machine = FakeMachine()
    machine.on("apt-get", "install", do=Completed(100, "E: Unable to fetch some archives\n"))
    with pytest.raises(RuntimeFault, match="Unable to fetch some archives"):
        ensure_engine(print, machine, contact)
    assert [argv[1] for argv in machine.ran] == ["install", "update", "install"]


@pytest.mark.parametrize(
    ("text", "processes", "removed"),
    [
        ("77\n", {77: "dockerd"}, False),
        ("77", {77: "bash"}, True),
        ("77", {}, True),
        ("", {}, True),
    ],
)
def test_pid_file_goes_unless_it_names_a_live_daemon(text: str, processes: dict[int, str], removed: bool) -> None:
    machine = FakeMachine()
    machine.files["/var/run/docker.pid"] = text
    machine.processes = processes
    remove_stale_pid(machine, Path("/var/run/docker.pid"), "dockerd", print)
    assert ("/var/run/docker.pid" not in machine.files) is removed


def test_zombies_run_no_program() -> None:
    from lab.runtime.machine import Machine

    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        assert Machine().program_of(child.pid) in ("", Path(sys.executable).resolve().name)
        with open(f"/proc/{child.pid}/stat") as stat:  # wait for its end without reaping it
            while stat.read().rpartition(")")[2].split()[0] != "Z":
                stat.seek(0)
        assert Machine().program_of(child.pid) == ""
    finally:
        child.wait()


def test_ready_when_ping_answers() -> None:
    answers = iter([contact("absent"), contact("refused"), Contact(SYSTEM, "answers", api_version="1.41")])
    with subprocess.Popen(["sleep", "5"]) as process:
        assert wait_until_ready(process, lambda: next(answers), 5).answers
        process.kill()


def test_a_daemon_that_dies_and_one_that_hangs_are_told_apart() -> None:
    with subprocess.Popen(["false"]) as process, pytest.raises(RuntimeFault, match="ended with code 1"):
        wait_until_ready(process, contact, 5, grace=0.2)
    with subprocess.Popen(["sleep", "0.5"]) as process, pytest.raises(RuntimeFault, match="did not answer within 0 s"):
        wait_until_ready(process, contact, 0.2)


def test_os_release() -> None:
    assert parse_os_release('# c\nID=debian\nPRETTY_NAME="Debian 12"\n') == {"ID": "debian", "PRETTY_NAME": "Debian 12"}


def test_a_proxy_is_not_for_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"ApiVersion": "1.43"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Not here."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    try:
        assert connect(EngineAddress(f"tcp://127.0.0.1:{server.server_port}")).api_version == "1.43"
    finally:
        server.shutdown()
        server.server_close()
