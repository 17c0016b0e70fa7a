"""The control scripts of images, in front of fakes of the software's command lines, whose real ones exit with 0 whatever happened."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

IMAGES = Path(__file__).parents[2] / "images"
SCRIPTS = {
    "kamailio": [IMAGES / "shared/kamailio", IMAGES / "kamailio"],
    "kamailio-rtpengine": [IMAGES / "shared/kamailio", IMAGES / "kamailio-rtpengine"],
    "asterisk": [IMAGES / "asterisk"],
    "ejabberd": [IMAGES / "ejabberd"],
}
FAKES = {"kamailio": "kamcmd", "kamailio-rtpengine": "kamcmd", "asterisk": "asterisk", "ejabberd": "erl_call"}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a script of an image. `fake` is a shell script in place of the software's command line; what it was asked is in `asked`."""

    def run(image: str, script: str, *arguments: str, fake: str) -> tuple[int, str, str]:
        for folder in SCRIPTS[image]:
            for file in folder.glob("siplab-*"):
                shutil.copy(file, tmp_path)
        if (cli := tmp_path / "siplab-cli").exists():
            cli.write_text(cli.read_text().replace("WITHIN=6", "WITHIN=1"))
        stub = tmp_path / FAKES[image]
        stub.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{tmp_path}/asked\n{fake}\n')
        stub.chmod(0o755)
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        done = subprocess.run(
            ["sh", str(tmp_path / script), *arguments], capture_output=True, text=True, timeout=20, check=False, env=environment
        )
        return done.returncode, done.stdout, done.stderr

    return run


def asked(tmp_path: Path) -> list[str]:
    return (tmp_path / "asked").read_text().splitlines()


TABLE = r"""shift 2
case "$1 $3" in
"htable.get now") value=$(cat "$0.now") ;;
KNOWN
*) value= ;;
esac
case "$1 ${value:-?}" in
"htable.get ?") echo "error: 500 - Key name doesn't exist in htable." ;;
htable.get*) printf '{\n\titem: {\n\t\tname: %s\n\t\tvalue: %s\n\t\tflags: 2\n\t}\n}\n' "$3" "$value" ;;
htable.sets*) SETS ;;
htable.delete*) echo "error: 404 - Key not found in htable." ;;
esac"""


def table(sets: str, **values: str) -> str:
    """A kamcmd with a shared table that has these values; what it does when it is told to set one."""
    known = "\n".join(f'"htable.get {key}") value={value} ;;' for key, value in values.items())
    return TABLE.replace("KNOWN", known).replace("SETS", sets)


TAKES, REFUSES, IGNORES = 'echo "$4" >"$0.now"', 'echo "error: 500 - no htable"', "true"


@pytest.mark.parametrize(
    ("how", "sets", "code", "why"),
    [
        ("silent", TAKES, 0, ""),
        ("none", TAKES, 0, ""),
        ("quiet", TAKES, 1, "unknown misbehaviour quiet"),
        ("unknown", TAKES, 1, "unknown misbehaviour unknown"),
        ("silent", REFUSES, 1, "error: 500 - no htable"),
        ("silent", IGNORES, 1, "misbehaviour is silent-too, not silent"),
    ],
)
@pytest.mark.parametrize("image", ["kamailio", "kamailio-rtpengine"])
def test_a_misbehaviour_is_done_when_kamailio_says_that_it_is(
    run: Run, tmp_path: Path, image: str, how: str, sets: str, code: int, why: str
) -> None:
    (tmp_path / "kamcmd.now").write_text("silent-too\n")
    found = run(image, "siplab-misbehave", how, fake=table(sets, silent="known", unknown="unknown"))
    assert (found[0], why in found[2]) == (code, True), found


def test_what_no_version_of_kamailio_can_demand_is_refused(run: Run) -> None:
    fake = table(TAKES, **{"client-certificate": "known"})
    assert run("kamailio", "siplab-demand", "client-certificate", fake=fake)[0] == 0
    code, _, why = run("kamailio", "siplab-demand", "sha-256", fake=fake)
    assert (code, "siplab-demand: unknown demand sha-256" in why) == (1, True)


@pytest.mark.parametrize(
    "fake", ["exit 255", "echo 'ERROR: connect_unix_sock: connect(/run/kamailio/ctl.sock): No such file or directory [2]'"]
)
@pytest.mark.parametrize(
    "command", [("siplab-bindings", "flush", "a@b"), ("siplab-bindings", "list", "a@b"), ("siplab-forget",), ("siplab-misbehave", "none")]
)
def test_a_kamailio_that_is_gone_is_no_success(run: Run, command: tuple[str, ...], fake: str) -> None:
    code, _, why = run("kamailio", *command, fake=fake)
    assert (code, bool(why.strip())) == (1, True)


def test_kamailio_flushes_everybody_that_is_named(run: Run, tmp_path: Path) -> None:
    fake = "case \"$*\" in *a@x) echo 'error: 500 - AOR not found' ;; *c@x) echo 'error: 400 - Invalid' ;; esac"
    assert run("kamailio", "siplab-bindings", "flush", "a@x", "b@x", fake=fake)[0] == 0
    assert [line.rpartition(" ")[2] for line in asked(tmp_path)] == ["a@x", "b@x"]
    code, _, why = run("kamailio", "siplab-bindings", "flush", "c@x", fake=fake)
    assert (code, "ul.rm location c@x: error: 400 - Invalid" in why) == (1, True)


def test_ejabberd_is_asked_once_for_all(run: Run, tmp_path: Path) -> None:
    fake = f'cat >>{tmp_path}/terms; echo "{{ok, ok}}"'
    assert run("ejabberd", "siplab-bindings", "flush", "a@x", "b@y", fake=fake)[0] == 0
    assert len(asked(tmp_path)) == 1
    delete = 'ok = mnesia:dirty_delete(sip_session, {<<"%s">>, <<"%s">>})'
    assert (tmp_path / "terms").read_text() == f"{delete % ('a', 'x')}, {delete % ('b', 'y')}.\n"


@pytest.mark.parametrize("subscriber", ["alice", '">>}), halt(). x@y', "a@b@c", "@b", "a@"])
def test_ejabberd_evaluates_nobodys_name(run: Run, tmp_path: Path, subscriber: str) -> None:
    assert run("ejabberd", "siplab-bindings", "flush", subscriber, fake="echo '{ok, ok}'")[0] == 2
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize("fake", ["exit 1", "echo '{error, badmatch}'", "true"])
def test_an_ejabberd_that_says_no_is_no_success(run: Run, fake: str) -> None:
    code, _, why = run("ejabberd", "siplab-bindings", "flush", "a@x", fake=fake)
    assert (code, why.startswith("siplab-bindings: flush a@x: ")) == (1, True)


GONE = 'echo "Unable to connect to remote asterisk (does /run/asterisk/asterisk.ctl exist?)" >&2; exit 1'
CONTACTS = """case "$2" in
"database show registrar contact")
    echo '/registrar/contact/alice;@0a1b                                  : {"uri":"sip:alice@198.18.0.30:5060"}'
    echo '/registrar/contact/alice2;@77                                   : {"uri":"sip:alice2@198.18.0.31:5060"}'
    echo '2 results found.' ;;
"database del registrar "*) echo "Database entry ANSWER" ;;
esac"""


@pytest.mark.parametrize(
    "command",
    [
        ("siplab-bindings", "flush", "alice"),
        ("siplab-bindings", "list", "alice"),
        ("siplab-room", "reset"),
        ("siplab-room", "misbehave", "echo"),
        ("siplab-mailbox", "misbehave", "none"),
        ("siplab-gateway", "misbehave", "one-cause"),
        ("siplab-gateway", "behave"),
    ],
)
def test_an_asterisk_that_is_gone_is_no_success(run: Run, command: tuple[str, ...]) -> None:
    code, _, why = run("asterisk", *command, fake=GONE)
    assert (code, bool(why)) == (1, True)


def test_asterisk_forgets_the_contacts_of_that_user(run: Run, tmp_path: Path) -> None:
    assert run("asterisk", "siplab-bindings", "flush", "alice", "bob", fake=CONTACTS.replace("ANSWER", "removed."))[0] == 0
    assert [line for line in asked(tmp_path) if "del" in line] == ['-rx database del registrar "contact/alice;@0a1b"']
    code, _, why = run("asterisk", "siplab-bindings", "flush", "alice", fake=CONTACTS.replace("ANSWER", "could not be removed."))
    assert (code, "contact/alice;@0a1b: Database entry could not be removed." in why) == (1, True)


CALLS = """case "$2" in
"core show channels count") N=$(cat "$0.calls"); echo "$N active channels"; echo "$N active calls" ;;
"channel request hangup all") echo 0 >"$0.calls" ;;
"database deltree "*) echo "Database entries do not exist." ;;
esac"""


def test_ten_calls_are_not_none(run: Run, tmp_path: Path) -> None:
    (tmp_path / "asterisk.calls").write_text("10\n")
    assert run("asterisk", "siplab-gateway", "reset", fake=CALLS)[0] == 0
    assert "-rx channel request hangup all" in asked(tmp_path)


def test_a_conference_is_reset_when_its_calls_have_ended(run: Run, tmp_path: Path) -> None:
    (tmp_path / "asterisk.calls").write_text("2\n")
    deaf = CALLS.replace('echo 0 >"$0.calls"', "true")
    code, _, why = run("asterisk", "siplab-room", "reset", fake=deaf)
    assert (code, "calls do not end within 1 s" in why) == (1, True)
    assert run("asterisk", "siplab-room", "reset", fake=CALLS)[0] == 0


@pytest.mark.parametrize("script", ["siplab-room", "siplab-mailbox"])
def test_a_misbehaviour_that_asterisk_does_not_know_is_refused(run: Run, script: str) -> None:
    code, _, why = run("asterisk", script, "misbehave", "be-evil", fake="echo Updated database successfully")
    assert (code, f"{script}: unknown misbehaviour be-evil" in why) == (1, True)
    assert run("asterisk", script, "misbehave", "none", fake="echo Updated database successfully")[0] == 0
    assert run("asterisk", script, "misbehave", "none", fake="echo Failed to update entry")[0] == 1


@pytest.mark.parametrize("image", ["kamailio", "kamailio-rtpengine"])
def test_the_readme_names_every_misbehaviour(image: str) -> None:
    text = (IMAGES / image / "misbehaviour.cfg.j2").read_text()
    names = re.findall(r'"([a-z0-9-]+)"', text[text.index("for name in") :].partition("]")[0])
    told = (IMAGES / image / "README.md").read_text()
    assert names
    assert [name for name in names if not re.search(rf"\b{name}\b(?!-)", told)] == []
