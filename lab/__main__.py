"""The `siplab` command, also as `python -m lab`: interrupted in the half second that it loads, it says so as at any later moment."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Load the command line and run it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # how CI systems cancel: clean up as for Ctrl-C
    try:
        from lab import cli
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()
