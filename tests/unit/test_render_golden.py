"""compose/trapezoid is what rendering writes today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from lab.cli import siplab

GOLDEN = Path(__file__).parents[2] / "compose" / "trapezoid"


def test_compose_is_up_to_date() -> None:
    arguments = ["render", "trapezoid", "--bind", "alice=baresip", "--bind", "bob=linphone", "-o", str(GOLDEN)]
    done = CliRunner().invoke(siplab, [*arguments, "--check"])
    assert done.exit_code == 0, f"{done.output}\nif that is right: siplab {' '.join(arguments)}"


@pytest.mark.parametrize(
    ("topology", "binds"), [("sbc", ["sbc=kamailio-rtpengine"]), ("nat-outbound", []), ("voicemail-ivr", []), ("check", [])]
)
def test_no_file_names_an_address_that_an_element_has_not(tmp_path: Path, topology: str, binds: list[str]) -> None:
    """On networks without IPv6 there is none to listen on, to take for outside, or to be known by."""
    text = (GOLDEN.parents[1] / "topologies" / f"{topology}.yaml").read_text()
    narrow = tmp_path / f"{topology}.yaml"
    narrow.write_text(re.sub(r"(?m)^(  \w+: )\{(private: true)?\}", r"\1{ipv6: false}", text))
    assert "ipv6: false" in narrow.read_text()
    options = [word for bind in binds for word in ("--bind", bind)]
    done = CliRunner().invoke(siplab, ["render", str(narrow), *options, "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    found = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and re.search(rb"\bNone\b", path.read_bytes())]
    assert found == []
