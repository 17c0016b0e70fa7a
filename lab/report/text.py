"""Text that may hold anything the wire carried, made safe for the place where it goes."""

from __future__ import annotations

import re

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_safe(text: str) -> str:
    """Drop what XML 1.0 §2.2 does not allow; escaping is the writer's task."""
    return _NOT_XML.sub("", text)


def plural(count: int, noun: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
