"""siplab: real SIP elements on sealed Docker networks, and verdicts that can be trusted."""

__version__ = "0.1.0"
