"""A lab that stays up for people, with real containers: used by other processes, visited by a stranger's container, ended in every way."""

from __future__ import annotations

import json
import os
import pty
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.runtime.docker import DockerRuntime
from lab.runtime.labels import LAB, MARK

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
SIPLAB = (sys.executable, "-m", "lab")
UP_WITHIN = 150.0
DONE_WITHIN = 90.0
GUEST_IMAGE = "siplab/helper:1"  # any image with Python does; nothing of what it is for is used

GUEST = r"""
import socket, sys

def resolve(name):
    try:
        return socket.getaddrinfo(name, 5060, socket.AF_INET, socket.SOCK_DGRAM)[0][4]
    except OSError as error:
        return f"error {error.errno}"

def options(place):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.connect(place)
    host, port = sock.getsockname()
    head = [f"OPTIONS sip:atlanta.example SIP/2.0", f"Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bK-guest", "Max-Forwards: 70",
            "From: <sip:guest@atlanta.example>;tag=g", "To: <sip:atlanta.example>", f"Call-ID: {port}@guest", "CSeq: 1 OPTIONS",
            "Content-Length: 0"]
    sock.send("\r\n".join([*head, "", ""]).encode())
    return host, sock.recv(4096).split(b"\r\n")[0].decode()

def reaches(host):
    sock = socket.socket()
    sock.settimeout(2)
    try:
        sock.connect((host, 9))
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True

for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    if word == "resolve":
        print(resolve(rest), flush=True)
    elif word == "options":
        place = resolve(rest)
        host, answer = options(place)
        print(answer, "|", place[0], reaches(place[0]), "|", reaches(host.rpartition(".")[0] + ".1"), flush=True)
"""
"""A container of somebody's own: resolves names, sends an OPTIONS, and tries the lab's gateway, with an element as the control."""


def siplab(*arguments: str, code: int = 0, within: float = DONE_WITHIN, given: str | None = None) -> str:
    """stdout of a command that has to end with this exit code."""
    done = subprocess.run(
        [*SIPLAB, *arguments], cwd=ROOT, input=given, stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True, text=True, timeout=within, check=False,
    )  # fmt: skip
    assert done.returncode == code, f"siplab {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def left(lab: str) -> list[str]:
    return [item.name for item in DockerRuntime().inventory({MARK: "1", LAB: lab})]


def eventually(what: Callable[[], bool], within: float) -> bool:
    """An engine tells what it has only when asked."""
    until = time.monotonic() + within
    while not (found := what()) and time.monotonic() < until:
        time.sleep(0.05)
    return found


@dataclass(frozen=True)
class Lab:
    """One that `siplab up --detach` started."""

    status: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.status["lab"])

    def __call__(self, command: str, *arguments: str, **more: Any) -> str:
        """A command about this lab, whatever else is up."""
        group = [command] if command not in ("dns", "nat") else [command, arguments[0]]
        return siplab(*group, "--lab", self.id, *arguments[len(group) - 1 :], **more)

    def call(self, *options: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("call", "alice", "bob", "--seconds", "1", "--json", *options))
        return found


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab(json.loads(siplab("-q", "up", "trapezoid", "--detach", "--json", within=UP_WITHIN)))
    yield made
    if left(made.id):
        siplab("down", made.id)


@dataclass
class Guest:
    """A container that no lab made, on a lab's network as `siplab up` says."""

    name: str
    process: subprocess.Popen[str]

    def ask(self, line: str) -> str:
        assert self.process.stdin
        assert self.process.stdout
        watchdog = threading.Timer(DONE_WITHIN, self.process.kill)
        watchdog.start()
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            return self.process.stdout.readline().strip()
        finally:
            watchdog.cancel()


@pytest.fixture(scope="module")
def guest(lab: Lab) -> Iterator[Guest]:
    (network,) = lab.status["networks"]
    name = f"slt-guest-{secrets.token_hex(4)}"
    words = network["join"].replace("-it", "-i").replace("IMAGE", GUEST_IMAGE).split()
    command = [*words[:2], "--name", name, *words[2:], "python3", "-u", "-c", GUEST]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield Guest(name, process)
    subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False, timeout=60)
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()


# -- while it is up -------------------------------------------------------------------------------------------------------------------


def test_two_user_agents_call_each_other_again_and_again(lab: Lab) -> None:
    first = lab.call()
    assert first["verdict"]["status"] == "pass", first["verdict"]
    assert "INVITE" in first["ladder"]
    assert list(Path(first["folder"]).glob("*.wav"))
    second = lab.call("--transport", "tls", "--media", "sdes", "--keep")
    assert second["verdict"]["status"] == "pass", second["verdict"]
    assert "BYE" not in second["ladder"]
    assert lab("hangup") == "1 call(s) ended\n"
    assert lab.call()["verdict"]["status"] == "pass"


def test_a_call_that_nobody_answers_is_a_fail_with_its_ladder(lab: Lab) -> None:
    told = json.loads(lab("call", "alice", "nobody", "--json", code=1))
    assert told["verdict"]["status"] == "fail"
    assert "404" in told["verdict"]["reason"]
    assert "404" in told["ladder"]


def test_what_an_element_wrote(lab: Lab) -> None:
    written = lab("logs", "pa")
    assert len(lab("logs", "-n", "2", "pa").splitlines()) == 2
    following = subprocess.Popen([*SIPLAB, "logs", "-f", "--lab", lab.id, "pa"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert following.stdout
        assert following.stdout.readline().rstrip("\n") == written.splitlines()[0]
        following.send_signal(signal.SIGINT)
        assert following.wait(DONE_WITHIN) == 130
    finally:
        following.kill()
        following.wait()
        following.stdout.close()


def test_a_command_and_a_script_in_an_element(lab: Lab) -> None:
    assert json.loads(lab("shell", "bob", "cat", "/etc/siplab/agent.json"))["element"] == "bob"
    assert lab("shell", "bob", "sh", "-c", "echo out; exit 3", code=3) == "out\n"
    assert lab("shell", "bob", given="echo from stdin\n") == "from stdin\n"


def test_a_shell_at_a_terminal(lab: Lab) -> None:
    """Typed and read through a pseudo-terminal, as by a person: the shell's own terminal, its echo, its exit code."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [*SIPLAB, "shell", "--lab", lab.id, "bob"])
    watchdog = threading.Timer(DONE_WITHIN, os.kill, (child, signal.SIGKILL))
    watchdog.start()
    seen = b""
    try:
        seen += _read_until(terminal, b"# ")
        os.write(terminal, b"test -t 0 && echo is-a-$((40 + 2))-terminal; exit 7\n")
        seen += _read_until(terminal, b"is-a-42-terminal")
        _, status = os.waitpid(child, 0)
    finally:
        watchdog.cancel()
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 7, seen


def _read_until(terminal: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        chunk = os.read(terminal, 4096)
        assert chunk, seen
        seen += chunk
    return seen


def test_a_container_of_ones_own_is_served_and_sealed(lab: Lab, guest: Guest) -> None:
    pa = next(element for element in lab.status["elements"] if element["name"] == "pa")
    answer, reached, gateway = guest.ask("options pa.atlanta.example").split(" | ")
    assert answer.startswith("SIP/2.0 200")
    assert reached == f"{pa['addresses'][0]} True", "the control: what is there is reached"
    assert gateway == "False", "the host's side of the network answers"


def test_the_name_server_is_made_wrong_and_right_again(lab: Lab, guest: Guest) -> None:
    truth = guest.ask("resolve bob.biloxi.example")
    assert truth.startswith("(")
    lab("dns", "fault", "nxdomain", "bob.biloxi.example")
    assert guest.ask("resolve bob.biloxi.example").startswith("error")
    asked = json.loads(lab("dns", "log", "--json"))
    assert asked[-1]["name"] == "bob.biloxi.example"
    lab("dns", "clear")
    assert guest.ask("resolve bob.biloxi.example") == truth
    lab("dns", "fault", "no-such-kind", code=2)


def test_it_is_listed(lab: Lab) -> None:
    found = {each["lab"]: each for each in json.loads(siplab("ps", "--json"))}
    assert found[lab.id]["topology"] == "trapezoid"
    assert found[lab.id]["elements"] == ["alice", "bob", "dns", "pa", "pb"]
    assert lab.id in siplab("ps")


# -- the end --------------------------------------------------------------------------------------------------------------------------


def test_down_saves_the_evidence_and_spares_the_guest(lab: Lab, guest: Guest) -> None:
    said = siplab("down", lab.id)
    (network,) = lab.status["networks"]
    assert f"{guest.name} is disconnected from {network['docker']}: it is not the lab's, and goes on without it" in said.splitlines()
    assert left(lab.id) == []
    assert guest.ask("resolve bob.biloxi.example").startswith("error"), "the guest lives, and is alone"
    folder = Path(lab.status["folder"])
    assert (folder / "capture.pcapng").stat().st_size > 10_000
    assert (folder / "logs" / "pa.txt").stat().st_size
    assert json.loads((folder / "pairing.json").read_text())["problems"] == {}
    assert not (folder / "socket").exists()


def test_ctrl_c_takes_a_lab_in_the_foreground_down() -> None:
    process = subprocess.Popen(
        [*SIPLAB, "up", "trapezoid"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    watchdog = threading.Timer(UP_WITHIN, process.kill)
    watchdog.start()
    try:
        assert process.stdout
        lab = process.stdout.readline().split()[1]
        lines = iter(process.stdout.readline, "")
        assert any(line.split()[:2] == ["end", "it"] for line in lines)
        assert left(lab)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=DONE_WITHIN)
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
    assert process.returncode == 0, errors
    assert "its evidence is in" in errors
    assert left(lab) == []


def test_a_killed_owner_leaves_nothing() -> None:
    status = json.loads(siplab("-q", "up", "trapezoid", "--detach", "--json", within=UP_WITHIN))
    assert left(status["lab"])
    os.kill(status["owner"], signal.SIGKILL)
    assert eventually(lambda: not left(status["lab"]), 60)
    siplab("call", "--lab", status["lab"], "alice", "bob", code=2)
