"""Why a request is answered with an error: one exception per error code of the contract."""

from __future__ import annotations


class RequestError(Exception):
    """Raised inside a method handler: becomes `error: {code, message}` of the answer. The message is one line."""

    code = "vendor"


class Unsupported(RequestError):
    """Unknown method, or one that this software cannot do."""

    code = "unsupported"


class BadParams(RequestError):
    """A parameter is missing, of the wrong type or out of range; the message names it."""

    code = "bad-params"


class UnknownAccount(RequestError):
    """No account has this id."""

    code = "unknown-account"


class UnknownCall(RequestError):
    """No live call has this id."""

    code = "unknown-call"


class BadState(RequestError):
    """Not possible now, such as answering an established call."""

    code = "bad-state"


class Refused(RequestError):
    """The software refused; the message is its own."""

    code = "vendor"


class Dead(RequestError):
    """The software is dead."""

    code = "fault"
