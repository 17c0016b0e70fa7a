"""The media of a call, put together from the account, the user agent's settings and its misbehaviours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .keying import Clear, Dtls, Keying, Sdes
from .media import MediaStream
from .negotiation import FORMATS, Negotiation

if TYPE_CHECKING:
    from .call import Call

WRONG_TONE = 500
"""Hz that the misbehaviour `wrong-tone` adds."""


def stream(call: Call) -> MediaStream:
    """The call's audio, with the element's tone."""
    agent = call.agent
    made = MediaStream(
        call.account.host,
        agent.settings.rtp_ports,
        lambda pcm: agent.listener.heard(call, pcm),
        lambda key: agent.listener.digit(call, key, "inband" if call.account.inband else "rfc4733"),
    )
    made.on_keyed, made.on_failed = call.keyed, call.media_failed
    made.hz = agent.settings.tone_hz + (WRONG_TONE if "wrong-tone" in agent.wrong else 0)
    if call.account.inband:
        made.inband()
    made.clear = "plain-under-savp" in agent.wrong
    return made


def negotiation(call: Call) -> Negotiation:
    """The call's offers and answers, keyed as its account wants it."""
    formats = FORMATS[:-1] if call.account.inband else FORMATS
    return Negotiation(_keying(call), call.account.host, call.stream, formats)


def _keying(call: Call) -> Keying:
    if call.account.media == "dtls":
        wrong = call.agent.wrong
        return Dtls(call.agent.identity, lying="wrong-fingerprint" in wrong, trusting="accept-any-fingerprint" in wrong)
    return Sdes() if call.account.media == "sdes" else Clear()
