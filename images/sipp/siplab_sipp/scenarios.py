"""The two scenarios that SIPp runs for an account: one for what comes in, one for what goes out.

`[name]` in brackets is SIPp's: `[$name]` a variable of the call, `[user]`, `[contact]`, `[me]`, `[rnd]` keywords given on its command line.
"""

from __future__ import annotations

from .xml import FINALS, decide, go, header, keep, label, receive, refusals, scenario, send, tell

_VIA = "Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=z9hG4bK[$token]"
_OURS = ";tag=[rnd]-[call_number]"
_REPLY = "[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]"
_TAGGED = _REPLY.replace("[last_To:]", f"[last_To:]{_OURS}")
"""The headers of a response that makes a dialog, or could."""
PROVISIONAL = (180, 181, 182, 183)
REFUSALS = (302, *(code for code in FINALS if code >= 400))
"""What a call can be refused with: all registered codes."""
_ALLOW = "Allow: INVITE, ACK, CANCEL, BYE, INFO, MESSAGE"
_UAS, _UAC = ("[$local]", "[$remote]"), ("[me]" + _OURS, "[$remote]")


def _request(method: str, ends: tuple[str, str], cseq: str = "[$number]") -> str:
    """A request within a dialog."""
    ours, theirs = ends
    return f"""{method} [next_url] SIP/2.0
        {_VIA}
        [routes]
        Max-Forwards: 70
        From: {ours}
        To: {theirs}
        Call-ID: [call_id]
        CSeq: {cseq} {method}
        Contact: <[contact]>"""


def _talking(ends: tuple[str, str]) -> list[str]:
    """An established call, until one side ends it. The parts of `ends` are From and To of our requests."""
    return [
        go("talking"),
        label("info"),  # its answer comes to "talking": SIPp takes one only below the request
        send(_request("INFO", ends) + "\nContent-Type: application/dtmf-relay", body="[$body]"),
        label("talking"),
        receive("200", then="talking"),
        *(receive(str(code), then="talking") for code in PROVISIONAL),  # what was kept for a reception may come after the final response
        receive("ACK", then="acknowledged"),
        receive("BYE", then="left"),
        receive("CANCEL", then="stray"),
        receive("INVITE", then="reinvited"),
        receive("INFO", then="informed"),
        receive("OPTIONS", then="asked"),
        decide("bye", "reinvite", "info", back="talking"),
        label("acknowledged"),
        tell("acknowledged"),
        go("talking"),
        label("asked"),
        send(f"SIP/2.0 200 OK\n{_REPLY}\n{_ALLOW}"),
        go("talking"),
        label("informed"),
        send(f"SIP/2.0 200 OK\n{_REPLY}"),
        tell("digit"),
        go("talking"),
        label("reinvited"),
        tell("offered"),
        receive("BYE", then="left"),
        receive("CANCEL", then="stray"),
        decide("accept", "refuse", back="talking"),
        label("accept"),
        send(f"SIP/2.0 200 OK\n[last_Record-Route:]\n{_REPLY}\nContact: <[contact]>", retrans=True, body="[$body]"),
        receive("BYE", then="left"),
        receive("ACK", then="talking", optional=False),
        label("refuse"),
        send(f"SIP/2.0 488 Not Acceptable Here\n{_REPLY}", retrans=True),
        receive("BYE", then="left"),
        receive("ACK", then="talking", optional=False),
        label("reinvite"),
        send(_request("INVITE", ends), retrans=True, body="[$body]"),
        label("reinviting"),
        receive("100", then="reinviting"),
        receive("BYE", then="left"),
        refusals("rerefused"),
        receive("200", optional=False),
        send(_request("ACK", ends)),
        tell("reanswered"),
        go("talking"),
        label("rerefused"),
        send(_request("ACK", ends)),
        tell("rerefused"),
        go("talking"),
        label("left"),
        send(f"SIP/2.0 200 OK\n{_REPLY}"),
        tell("left", "SIP/2.0 200 OK"),
        go("end"),
        label("bye"),
        send(_request("BYE", ends), retrans=True),
        label("leaving"),
        receive("100", then="leaving"),
        receive("INFO", then="leaving"),
        receive("BYE", then="left"),
        refusals("gone"),
        receive("200", optional=False),
        label("gone"),
        tell("gone"),
        go("end"),
    ]


_STRAY = [
    label("stray"),  # SIPp itself answers an unexpected BYE or CANCEL only where it does not know "_unexp.main"
    send(f"SIP/2.0 200 OK\n{_REPLY}"),
    tell("aborted"),
    go("end"),
]


def _refusal(code: int) -> list[str]:
    """A final answer: SIPp wants its code in the scenario, the phrase may be a variable."""
    return [label(str(code)), send(f"SIP/2.0 {code} [$phrase]\n[$extra]\n{_TAGGED}", retrans=True, then="refusing")]


def callee() -> str:
    """What comes in: INVITE, MESSAGE, and requests that are answered without asking."""
    kept = "".join(
        [
            header("From", "remote"),
            header("To", "called"),
            header("CSeq", "cseq"),
            keep("vias", "(Via: [^[:cntrl:]]*([[:cntrl:]]+Via: [^[:cntrl:]]*)*)"),
        ]
    )
    return scenario(
        "callee",
        receive("INVITE", then="incoming", actions=kept, more=' rrs="true"'),
        receive("OPTIONS", then="okay"),
        receive("NOTIFY", then="okay"),
        receive("BYE", then="unknown"),
        receive("CANCEL", then="unknown"),
        receive("ACK", then="end"),
        receive("MESSAGE", optional=False),
        send(f"SIP/2.0 200 OK\n{_TAGGED}"),
        tell("message"),
        go("end"),
        label("okay"),
        send(f"SIP/2.0 200 OK\n{_REPLY}\n{_ALLOW}"),
        go("end"),
        label("unknown"),
        send(f"SIP/2.0 481 Call/Transaction Does Not Exist\n{_REPLY}"),
        go("end"),
        label("incoming"),
        '<nop><action><assignstr assign_to="local" value="[$called];tag=[rnd]-[call_number]"/></action></nop>',
        send(f"SIP/2.0 100 Trying\n{_REPLY}"),
        tell("incoming"),
        label("deciding"),
        receive("CANCEL", then="cancelled"),
        receive("BYE", then="stray"),
        decide("ring", "answer", *(str(code) for code in REFUSALS), back="deciding"),
        label("ring"),
        tell("ringing", "SIP/2.0 180 Ringing"),  # before it is sent: a CANCEL that comes at once has to find the reception below
        send(f"SIP/2.0 180 Ringing\n[last_Record-Route:]\n{_TAGGED}\nContact: <[contact]>", then="deciding"),
        label("answer"),
        send(
            f"SIP/2.0 200 OK\n[last_Record-Route:]\n{_TAGGED}\nContact: <[contact]>\n{_ALLOW}", retrans=True, body="[$body]", then="talking"
        ),
        *(part for code in REFUSALS for part in _refusal(code)),
        label("refusing"),
        receive("CANCEL", then="stray"),
        receive("ACK", optional=False),
        tell("refused", "SIP/2.0 [$line]"),
        go("end"),
        label("cancelled"),
        send(f"SIP/2.0 200 OK\n{_TAGGED}"),
        send("SIP/2.0 487 Request Terminated\n[$vias]\n[last_From:]\nTo: [$local]\n[last_Call-ID:]\nCSeq: [$cseq]", retrans=True),
        receive("ACK", optional=False),
        tell("refused", "SIP/2.0 487 Request Terminated"),
        go("end"),
        *_talking(_UAS),
        *_STRAY,
    )


def _invitation(token: str, number: str, credentials: str = "") -> str:
    """The INVITE; `token` ends its branch, by which ACK and CANCEL belong to it (RFC 3261 §17.1.1.3, §9.1)."""
    return _outside("INVITE", token, number, credentials) + f"\nContact: <[contact]>\n{_ALLOW}"


def _outside(method: str, token: str, number: str, credentials: str = "", target: str = "[$target]") -> str:
    """A request outside of a dialog, or the ACK or CANCEL of one."""
    return f"""{method} {target} SIP/2.0
        {_VIA}{token}
        Max-Forwards: 70
        From: [me]{_OURS}
        To: <[$target]>
        Call-ID: [call_id]
        CSeq: {number} {method}
        {credentials}"""


def _pending(name: str, token: str, number: str, challenged: str) -> list[str]:
    """An INVITE that waits for its answer; without `challenged`, a challenge is a refusal."""
    acknowledge = _outside("ACK", token, number).replace("To: <[$target]>", "[last_To:]")
    return [
        label(name),
        receive("100", then=name),
        *(receive(str(code), then=f"{name}_rings") for code in PROVISIONAL),
        *(receive(code, then=f"{name}_challenged", more=' auth="true"') for code in ("401", "407") if challenged),
        refusals(f"{name}_refused", (401, 407) if challenged else ()),
        receive("200", then="answered", actions=header("To", "remote"), more=' rrs="true"'),
        receive("BYE", then="stray"),
        decide(f"cancel={name}_cancel", back=name),
        label(f"{name}_rings"),
        tell("ringing"),
        go(name),
        label(f"{name}_refused"),
        send(acknowledge),
        tell("refused"),
        go("end"),
        label(f"{name}_cancel"),
        send(_outside("CANCEL", token, number), retrans=True),
        label(f"{name}_cancelled"),
        receive("200", then=f"{name}_cancelled"),
        refusals(f"{name}_refused", ()),
        receive("487", then=f"{name}_refused", optional=False),
        *([label(f"{name}_challenged"), send(acknowledge), go("again")] if challenged else []),
    ]


def _simple(name: str, first: str, second: str, body: str = "") -> list[str]:
    """A transaction with a challenge: REGISTER, MESSAGE."""
    return [
        label(name),
        send(first, retrans=True, body=body),
        label(f"{name}_first"),
        receive("100", then=f"{name}_first"),
        *(receive(code, then=f"{name}_again", more=' auth="true"') for code in ("401", "407")),
        refusals("over", (401, 407)),
        receive("202", then="over"),
        receive("200", then="over", optional=False),
        label(f"{name}_again"),
        send(second, retrans=True, body=body),
        label(f"{name}_second"),
        receive("100", then=f"{name}_second"),
        refusals("over"),
        receive("202", then="over"),
        receive("200", then="over", optional=False),
    ]


def caller() -> str:
    """What goes out: REGISTER, MESSAGE, INVITE. Credentials are SIPp's own, from its command line."""
    registration = "\nContact: <[binding]>\nExpires: [$line]"
    pairs = {}
    for name, method, more in (("register", "REGISTER", registration), ("message", "MESSAGE", "\nContent-Type: [$line]")):
        first = _outside(method, "a", "1").strip() + more
        second = _outside(method, "b", "2", "[authentication]").strip() + more
        if method == "REGISTER":
            first, second = (text.replace("To: <[$target]>", "To: [me]") for text in (first, second))
        pairs[name] = (first, second)
    return scenario(
        "caller",
        decide("register", "message", "invite", back="end"),
        *_simple("register", *pairs["register"]),
        *_simple("message", *pairs["message"], body="[$body]"),
        label("over"),
        tell("over"),
        go("end"),
        label("invite"),
        send(_invitation("a", "1"), retrans=True, body="[$body]"),
        *_pending("first", "a", "1", "again"),
        label("again"),
        send(_invitation("b", "2", "[authentication]"), retrans=True, body="[$body]"),
        *_pending("second", "b", "2", ""),
        label("answered"),
        send(_request("ACK", _UAC, "1").replace("CSeq: 1", "CSeq: [last_cseq_number]")),
        tell("answered"),
        *_talking(_UAC),
        *_STRAY,
    )
