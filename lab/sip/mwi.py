"""What waits in a mailbox (RFC 3842): the body of a NOTIFY of package `message-summary`."""

from __future__ import annotations

from dataclasses import dataclass

PACKAGE = "message-summary"
CONTENT_TYPE = "application/simple-message-summary"


@dataclass(frozen=True)
class Mailbox:
    """Voice messages of one account (§5.2)."""

    new: int = 0
    old: int = 0

    def summary(self, account: str) -> bytes:
        """The body; `account` is the mailbox's URI."""
        lines = [
            f"Messages-Waiting: {'yes' if self.new else 'no'}",
            f"Message-Account: {account}",
            f"Voice-Message: {self.new}/{self.old} (0/0)",
        ]
        return "".join(f"{line}\r\n" for line in lines).encode()
