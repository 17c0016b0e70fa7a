"""The outcome of an assertion over evidence."""

from __future__ import annotations

from dataclasses import dataclass

from lab.falsehood import remember


@dataclass(frozen=True)
class Check:
    """Truthy where the wire shows what was asked. A failing `assert check` reads as its one line.

    `blame` is the element at fault where the wire tells, else empty; `frame` is the offending packet's number in capture.pcapng.
    """

    ok: bool
    what: str
    blame: str = ""
    frame: int | None = None

    def __bool__(self) -> bool:
        if not self.ok:
            remember(self)
        return self.ok

    def __repr__(self) -> str:
        place = "" if self.frame is None else f" (frame {self.frame})"
        blame = f", blame {self.blame}" if self.blame else ""
        return f"<{'proven' if self.ok else 'NOT so'}: {self.what}{place}{blame}>"
