"""The words of a SIPp scenario, so that those of the agent read as what they do.

SIPp is driven by its 3PCC commands: a call waits in a `recvCmd` for what the agent wants next, with all that the other side may send
meanwhile as optional receptions in front of it, and tells the agent with a `sendCmd` what happened.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

FINALS = (
    *range(300, 306), 380, *range(400, 418), *range(420, 425), 428, 429, 430, 433, 436, 437, 438, 439, 440, 469, 470,
    *range(480, 490), 491, 493, 494, *range(500, 506), 513, 555, 580, 600, 603, 604, 606, 607, 608,
)  # fmt: skip
"""Final codes but 200 (and 401, 407 where a challenge is met) that the scenarios know: SIPp has no wildcard for responses."""


def keep(name: str, pattern: str) -> str:
    """Action: the first group of a pattern in the message, as variable `name`."""
    return f'<ereg regexp="{pattern}" search_in="msg" assign_to="all,{name}"/>'


def header(name: str, variable: str) -> str:
    """Action: a header's value as a variable."""
    return f'<ereg regexp=".*" search_in="hdr" header="{name}:" assign_to="{variable}"/>'


LONGEST = 65536
"""Bytes of a scenario file: SIPp reads no more, and calls a longer one unparsable."""


def receive(what: str, *, then: str = "", actions: str = "", optional: bool = True, more: str = "") -> str:
    """Reception of a request or a response (a number); `then` is where the scenario goes on."""
    kind = "response" if what.isdigit() else "request"
    attributes = f'{kind}="{what}"' + (' optional="true"' if optional else "") + (f' next="{then}"' if then else "") + more
    return f"<recv {attributes}><action>{actions}</action></recv>" if actions else f"<recv {attributes}/>"


def refusals(then: str, but: Sequence[int] = ()) -> str:
    """All final codes that are no success."""
    return "".join(receive(str(code), then=then) for code in FINALS if code not in but)


def send(text: str, *, retrans: bool = False, body: str = "", then: str = "") -> str:
    """Send a message; `text` has its start line and headers without Content-Length. While SIPp may have to send it again (`retrans`) it
    stops in front of all but a reception, and only a reception further down in the file ends it: so that is what has to follow, if need
    be where `then` leads to."""
    lines = "\n".join(line.strip() for line in text.splitlines() if line.strip())
    kind = "Content-Type: application/sdp\n" if body == "[$body]" and "Content-Type" not in lines else ""
    attributes = (' retrans="500"' if retrans else "") + (f' next="{then}"' if then else "")
    end = "\n\n" if kind else ""  # SIPp cuts the last line end off what it is given, and SDP lines have one each (RFC 8866 §5)
    return f"<send{attributes}><![CDATA[\n{lines}\n{kind}Content-Length: [len]\n\n{body}{end}]]></send>"


def tell(event: str, body: str = "[last_message]") -> str:
    """Tell the agent, with the last message that SIPp received in this call."""
    return f"<sendCmd><![CDATA[\nCall-ID: [call_id]\nEvent: {event}\nMessage:\n{body}\n]]></sendCmd>"


def label(name: str) -> str:
    """A place to go to."""
    return f'<label id="{name}"/>'


def go(name: str) -> str:
    """Go there."""
    return f'<nop next="{name}"/>'


def decide(*choices: str, back: str) -> str:
    """Wait for a command of the agent and go where it says (`word`, or `word=label`), or `back` where it says none of the words."""
    actions = "".join(
        [
            keep("do", "Do: ([a-z0-9]+)"),
            keep("token", "Token: ([^[:cntrl:]]*)"),
            keep("number", "Number: ([0-9]+)"),
            keep("target", "Target: ([^[:cntrl:]]*)"),
            keep("line", "Line: ([^[:cntrl:]]*)"),
            keep("phrase", "Line: [0-9]+ ([^[:cntrl:]]*)"),
            keep("extra", "Extra: ([^[:cntrl:]]*)"),
            keep("body", "Body:..(.*)"),
        ]
    )
    jumps = "".join(_jump(choice) for choice in choices)
    return f"<recvCmd><action>{actions}</action></recvCmd>{jumps}{go(back)}"


def _jump(choice: str) -> str:
    word, _, to = choice.partition("=")
    return (
        f'<nop next="{to or word}" test="is_{word}"><action><strcmp assign_to="compared" variable="do" value="{word}"/>'
        f'<test assign_to="is_{word}" variable="compared" compare="equal" value="0"/></action></nop>'
    )


_ELEMENT = re.compile(r"<(recvCmd|recv|sendCmd|send|nop|pause|label)\b([^>]*?)(?:/>|>.*?</\1>)", re.S)
_RECEPTIONS = ("recv", "recvCmd")
_END = '<label id="end"/>\n<pause milliseconds="1"/>'


def _landings(text: str) -> str:
    """A jump to a message goes astray where the one above it has a `next`, as SIPp then follows that: an empty `nop` parts them."""
    parts, read, always = [], 0, False
    for found in _ELEMENT.finditer(text):
        if always and found[1] not in _RECEPTIONS:
            parts.append("<nop/>")
        parts.append(text[read : found.end()])
        read = found.end()
        always = " next=" in found[2] and " test=" not in found[2] and " optional=" not in found[2]
    return "".join([*parts, text[read:]])


def _resume(text: str) -> str:
    """What SIPp does with a message that comes while it is at a step, between two receptions (it makes one step, and then reads one
    message). It keeps the message, sets `_unexp.retaddr` to the place, and goes to `_unexp.main`: from there back to the step, and the
    message is for the next reception. Where the place is no step the message is really unexpected: the variable is left set, by which
    SIPp ends the call when the message meets the same reception again. One `nop`, as a message could come between two."""
    kinds = [found[1] for found in _ELEMENT.finditer(f"{text}<nop/>{_END}") if found[1] != "label"]
    steps = "|".join(str(place) for place, kind in enumerate(kinds) if kind not in _RECEPTIONS)
    return (
        f'{label("_unexp.main")}<nop><action><assign assign_to="back" variable="_unexp.retaddr"/>'
        '<assignstr assign_to="place" value="at [$back]"/>'
        f'<ereg regexp="^at ({steps})[.]0+$" search_in="var" variable="place" assign_to="step"/>'
        '<strcmp assign_to="_unexp.retaddr" variable="step" variable2="place"/><jump variable="back"/></action></nop>'
    )


def scenario(name: str, *parts: str) -> str:
    """The whole file; a call that is over goes to `end`. SIPp refuses a variable that is named only once, so all are named
    at the end of the file again."""
    messages = _landings("\n".join(parts))
    messages = f"{messages}\n{_resume(messages)}\n{_END}"
    variables = {variable for names in re.findall(r'assign_to="([^"]*)"', messages) for variable in names.split(",")}
    reference = f'<Reference variables="{",".join(sorted(variables))}"/>'
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="{name}">\n{messages}\n{reference}\n</scenario>\n'
    if len(text) >= LONGEST:
        raise ValueError(f"scenario {name} has {len(text)} bytes, and SIPp reads {LONGEST}")
    return text
