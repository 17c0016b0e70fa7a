"""`python3 -m siplab_nat run | show | flush | misbehave NAME | behave`."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence

from siplab_nat.bindings import show
from siplab_nat.rules import NEEDS, TABLE, WRONG, Config, NatError, State, apply, forget, run


def misbehave(config: Config, how: str) -> None:
    """Be wrong in one way, or with `none` in no way."""
    if how not in (*WRONG, "none"):
        raise NatError(f"unknown misbehaviour {how}: {', '.join(WRONG)}")
    if missing := [option for option in NEEDS.get(how, ()) if not getattr(config, option)]:
        raise NatError(f"misbehaviour {how}: this NAT has no {missing[0]} to take away")
    apply(config, State(State.load().pool, how))


def serve(config: Config) -> None:
    """Apply the rules and stay for as long as they are wanted."""
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    apply(config, State(0))
    print(f"siplab-nat: ready: {config.type} between {', '.join(config.inside)} and {config.outside}", flush=True)
    signal.sigwait(signals)
    run(("nft", "delete", *TABLE.split()))


def main(arguments: Sequence[str]) -> int:
    """Exit code 0, 1 where the kernel refuses, 2 where the command is unknown."""
    config = Config.load()
    try:
        match arguments:
            case ["run"]:
                serve(config)
            case ["show"]:
                print(json.dumps(show(config)))
            case ["flush"]:
                forget(config)
            case ["misbehave", how]:
                misbehave(config, how)
            case ["behave"]:
                misbehave(config, "none")
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except NatError as error:
        print(f"siplab-nat: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
