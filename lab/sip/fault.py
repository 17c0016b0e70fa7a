"""What goes wrong in this package, each one line that a person can act on."""

from __future__ import annotations


class SipError(Exception):
    """Base of all errors of this package."""


class MessageError(SipError):
    """Bytes that are no well-formed SIP message (RFC 3261 §25)."""


class TransportError(SipError):
    """A message could not be sent: no address, no connection, or a peer that is not whom we dialled."""


class DigestError(SipError):
    """A challenge that cannot be answered: unknown algorithm or quality of protection (RFC 8760 §2.4)."""


class SdpError(SipError):
    """A session description that is broken, or that this side must not agree to (RFC 3264 §6)."""
