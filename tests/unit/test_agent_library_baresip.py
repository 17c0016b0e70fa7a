"""Reading of baresip's SIP trace, and its manifest against what its agent declares."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "images/baresip"


@pytest.fixture(scope="module")
def siptrace() -> ModuleType:
    import sys

    sys.path.insert(0, str(FOLDER.parent / "shared/siptext"))
    spec = importlib.util.spec_from_file_location("baresip_siptrace", FOLDER / "siptrace.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


TRACE = """ua: noise
[0:00:01] audio=0/0 (bit/s)\r\x1b[36;1m#
UDP 198.18.48.10:5060 -> 198.18.48.13:5060
SIP/2.0 200 OK\r
v: SIP/2.0/UDP 198.18.48.13:5060;branch=z9hG4bK0\r
To: <sip:alice@atlanta.example>;tag=b\r
i: 3ca1aa883c1271ac\r
CSeq: 64483 REGISTER\r
Contact: <sip:alice-0x1@198.18.48.13:5060>;expires=120\r
Expires: 300\r
\r
\x1b[;m
\x1b[36;1m#
TLS [2001:db8::13]:40000 -> [2001:db8::10]:5061
MESSAGE sip:bob@biloxi.example SIP/2.0\r
Call-ID: x\r
CSeq: 1 MESSAGE\r
\r
body: not a header
last\x1b[;m
"""


def test_messages_are_read_out_of_other_output(siptrace: ModuleType) -> None:
    seen = []
    reader = siptrace.TraceReader(("198.18.48.13", "2001:db8::13"), seen.append)
    for line in TRACE.split("\n"):
        reader.feed(line)
    answer, request = seen
    assert (answer.sent, answer.code, answer.reason, answer.method) == (False, 200, "OK", "REGISTER")
    assert (answer.call_id, answer.expires) == ("3ca1aa883c1271ac", 120)
    assert (request.sent, request.code, request.method, request.call_id) == (True, 0, "MESSAGE", "x")
    assert "body" not in request.headers


def test_the_manifest_declares_what_the_agent_declares() -> None:
    manifest = yaml.safe_load((FOLDER / "vendor.yaml").read_text())
    source = (FOLDER / "agent.py").read_text()
    block = source[source.index("capabilities = frozenset(") : source.index("control: Control")]
    assert sorted(manifest["supports"]) == sorted(re.findall(r'"([a-z0-9-]+)"', block))
