"""compose/trapezoid is what rendering writes today."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from lab.cli import siplab

GOLDEN = Path(__file__).parents[2] / "compose" / "trapezoid"


def test_compose_is_up_to_date() -> None:
    arguments = ["render", "trapezoid", "--bind", "alice=baresip", "--bind", "bob=linphone", "-o", str(GOLDEN)]
    done = CliRunner().invoke(siplab, [*arguments, "--check"])
    assert done.exit_code == 0, f"{done.output}\nif that is right: siplab {' '.join(arguments)}"
