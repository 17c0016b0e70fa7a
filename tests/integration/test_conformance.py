"""The conformance check on real containers: a vendor that is honest, from an image that the project does not know, and one that lies."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lab.runtime.docker_images import DockerImages
from lab.runtime.engine import require_engine
from lab.session.selection import images_for, select

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
HONEST = "slt-acme-sip:1.2"


def siplab(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=850)


@pytest.fixture(scope="module")
def images() -> None:
    """An image under another name, as a team would bring it."""
    selected = select("trapezoid", ["alice=pjsip", "bob=linphone"], ROOT)
    DockerImages(require_engine().address).tag(images_for(selected)[("pjsip", "2.15")], HONEST)


def outcomes(found: dict) -> dict[str, str]:
    return {row["name"]: row["outcome"] for row in found["rows"]}


def test_an_honest_image_conforms(images: None, tmp_path: Path) -> None:
    done = siplab(
        "vendor", "check", "acme", "--vendor", f"acme={HONEST}", "--against", "linphone", "--json", "--junit", str(tmp_path / "j.xml")
    )
    found = json.loads(done.stdout)
    assert done.returncode == 0, [row for row in found["rows"] if row["outcome"] == "refuted"]
    assert found["image"].startswith("sha256:")
    assert {"hold", "srtp-sdes", "tls-server-name", "SIGTERM"} <= {name for name, outcome in outcomes(found).items() if outcome == "proven"}
    run = json.loads((ROOT / "results" / found["run"] / "run.json").read_text())
    assert run["external"]["acme"] == {"reference": HONEST, "images": {found["flavour"]: found["image"]}}
    assert not list(ElementTree.parse(tmp_path / "j.xml").iter("failure"))
    stored = ROOT / "results" / "checks" / f"acme@{found['flavour']}.json"
    assert json.loads(stored.read_text())["conforms"]
    stored.unlink()


def test_each_lie_is_found_in_its_row(images: None) -> None:
    done = siplab("vendor", "check", str(ROOT / "tests/integration/liar"), "--against", "linphone", "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    refuted = {name for name, outcome in outcomes(found).items() if outcome == "refuted"}
    assert refuted == {"broken lines", "SIGTERM", "dtmf-info", "srtp-dtls", "zrtp", "naptr", "mtls"}
    reasons = {row["name"]: row["reason"] for row in found["rows"]}
    assert "no protocol" in reasons["broken lines"]
    assert "still runs" in reasons["SIGTERM"]
    assert "no answer within" in reasons["dtmf-info"]
    assert "unsupported" in reasons["srtp-dtls"]
    assert "unsupported" in reasons["zrtp"]
    assert "Client Certificate Required" in reasons["mtls"]
    (ROOT / "results" / "checks" / f"liar@{found['flavour']}.json").unlink()


def test_the_how_to_s_example_conforms() -> None:
    """baresip-python: what its agent does by itself, and registration and calls through two proxies."""
    lines = ["SIGTERM", "bad parameters", "reset", "registration", "call", "cancel", "busy", "tls-server-name"]
    done = siplab("vendor", "check", "docs/examples/baresip-python", *(word for line in lines for word in ("-k", line)), "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0, [row for row in found["rows"] if row["outcome"] != "proven"]
    assert {"SIGTERM", "call out, audio both ways", "call in, audio both ways", "tls-server-name"} <= set(outcomes(found))
    assert set(outcomes(found).values()) == {"proven"}


def test_an_agent_in_another_language_from_the_schema_alone(tmp_path: Path) -> None:
    """Perl, without the agent library: all of the contract that needs no SIP."""
    folder = shutil.copytree(ROOT / "tests/integration/perl-agent", tmp_path / "perl-agent")
    (folder / "schema.json").write_text(siplab("vendor", "schema").stdout)
    lines = ["handshake", "unknown", "bad", "broken", "reset", "shutdown", "end of input", "SIGTERM"]
    done = siplab("vendor", "check", str(folder), *(word for line in lines for word in ("-k", line)), "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0, [row for row in found["rows"] if row["outcome"] != "proven"]
    assert len(found["rows"]) == len(lines) + 1


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("vendor", "role", "line"),
    [
        ("asterisk", "gateway", "cancel"),
        ("asterisk", "voicemail", "invite"),
        ("asterisk", "focus", "srtp-sdes"),
        ("kamailio-rtpengine", "sbc", "topology-hiding"),
    ],
)
def test_other_servers_are_checked_on_their_topology(vendor: str, role: str, line: str) -> None:
    found = json.loads(siplab("vendor", "check", vendor, "--role", role, "-k", "version", "-k", line, "--json").stdout)
    assert outcomes(found) == {"version": "proven", line: "proven"}


@pytest.mark.exhaustive
def test_a_capability_that_is_not_declared_is_looked_for_where_it_is_needed() -> None:
    """Sippy cannot be bound to what needs a fork; the check does, and finds none."""
    done = siplab("vendor", "check", "sippy", "-k", "fork-parallel", "--json")
    assert outcomes(json.loads(done.stdout)) == {"fork-parallel": "absent"}


def test_an_image_that_is_not_there_is_one_line() -> None:
    done = siplab("run", "trapezoid", "--vendor", "acme=slt-no-such:1", "--bind", "alice=acme")
    assert done.returncode == 3
    assert len(done.stderr.strip().splitlines()) == 1
    assert "no image slt-no-such:1" in done.stderr


def test_a_run_takes_an_image_as_a_vendor(images: None) -> None:
    done = siplab("run", "trapezoid", "--vendor", f"acme={HONEST}", "--bind", "alice=acme", "--bind", "bob=acme", "-k", "busy", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = Path(json.loads(done.stdout)["folder"])
    pairing = json.loads(next(folder.glob("pairings/*/pairing.json")).read_text())
    assert [pairing["images"]["alice"]] == list(json.loads((folder / "run.json").read_text())["external"]["acme"]["images"].values())
