"""`python -m lab.live.detached ORDER`: the owner of a lab that outlives the terminal it was started from. Started by `detach` only."""

from __future__ import annotations

import json
import signal
import sys

from lab.errors import LabError
from lab.live.start import Order, bring_up, chosen, tell
from lab.session.selection import open_runtime


def main() -> int:
    """Exit code 0 after an orderly end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    given = json.loads(sys.argv[1])
    order = Order(given["topology"], tuple(given["bind"]), tuple(given["external"]), given["seed"], given["folder"])
    try:
        owner = bring_up(chosen(order.topology, order.bind, order.external), order, open_runtime())
    except LabError as error:
        tell(error)
        return error.exit_code
    tell(None)
    try:
        owner.serve(_say)
    except KeyboardInterrupt:
        _say("told to end")
    owner.down(_say)
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
