"""Known names: how an error says which one was probably meant, and what a name may look like."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

_SHOWN = 12  # more known names than this make a line unreadable
_LONGEST = 60  # characters of a value


def quoted(value: str) -> str:
    """A value as an error shows it: the beginning, where it is long."""
    return f'"{value}"' if len(value) <= _LONGEST else f'"{value[: _LONGEST - 3]}…"'


def nearest(name: str, known: Collection[str]) -> str:
    """What to do about an unknown `name`: the nearest known names, or all of them where none is near."""
    close = get_close_matches(name[:_LONGEST].lower(), sorted(known), n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if not known:
        return "there are none"
    shown = sorted(known)[:_SHOWN]
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"known: {', '.join(shown)}{more}"


def problem(what: str, remedy: str = "", at: tuple[str | int, ...] = ()) -> PydanticCustomError:
    """An error for a pydantic validator to raise; `what` and `remedy` reach the user as they are, with the place in front.

    `at` is where inside the validated value the mistake is.
    """
    return PydanticCustomError("siplab", "{what}", {"what": what, "remedy": remedy, "at": at})


def _matching(kind: str, pattern: str, form: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise problem(f"{quoted(value)} is not {kind}", f"write {form}")
        return value

    return check


def one_of(kind: str, known: Collection[str]) -> Callable[[str], str]:
    """A validator that accepts `known` names only and names the nearest otherwise."""

    def check(value: str) -> str:
        if value not in known:
            raise problem(f"unknown {kind} {quoted(value)}", nearest(value, known))
        return value

    return check


def distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    """A validator for lists in which a name said twice is a mistake."""
    for index, value in enumerate(values):
        if value in values[:index]:
            raise problem(f'"{value}" is listed twice', "remove one")
    return values


def _one_line(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise problem(f"{quoted(text)} is not one line of text", "write one, without control characters")
    return text


def _regular_expression(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise problem(f"{quoted(text)} is not a regular expression: {error}", "correct it") from None
    return text


LONGEST_NAME = 31
_LABEL = r"[a-z](?:[a-z0-9-]{0,29}[a-z0-9])?"
_DOMAIN = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
_USER = r"[A-Za-z0-9+][A-Za-z0-9._+-]{0,63}"
_FLAVOUR = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_SELECTION = rf"{_LABEL}(?:@{_FLAVOUR})?"

Line = Annotated[str, Field(min_length=1), AfterValidator(_one_line)]
"""Text for people that stands in lists, comments and headings."""

Pattern = Annotated[str, Field(min_length=1), AfterValidator(_regular_expression)]
"""A regular expression, which is looked for."""

Name = Annotated[
    str,
    Field(json_schema_extra={"pattern": f"^{_LABEL}$"}),
    AfterValidator(_matching("a name", _LABEL, "lower-case letters, digits and -, starting with a letter, at most 31")),
]
"""Of a topology, a network, an element or a vendor: one DNS label, because elements become host names."""

DomainName = Annotated[
    str,
    Field(json_schema_extra={"pattern": f"^{_DOMAIN}$"}),
    AfterValidator(_matching("a domain name", _DOMAIN, "lower-case labels with dots, such as atlanta.example")),
]
"""A SIP domain, which becomes a zone of the lab's DNS."""

AddressOfRecord = Annotated[
    str,
    Field(json_schema_extra={"pattern": f"^{_USER}@{_DOMAIN}$"}),
    AfterValidator(_matching("an address of record", f"{_USER}@{_DOMAIN}", "user@domain without a scheme, such as alice@atlanta.example")),
]
"""`user@domain` (RFC 3261 §6), without scheme: which scheme is dialled is the scenario's choice."""

FlavourName = Annotated[
    str,
    Field(json_schema_extra={"pattern": f"^{_FLAVOUR}$"}),
    AfterValidator(_matching("a flavour", _FLAVOUR, "letters, digits, '.', '_' and '-': it becomes an image tag")),
]
"""A version or build of a vendor; part of an image tag."""

VendorSelection = Annotated[
    str,
    Field(json_schema_extra={"pattern": f"^{_SELECTION}$"}),
    AfterValidator(_matching("a vendor", _SELECTION, "vendor or vendor@flavour")),
]
"""`vendor` (its default flavour) or `vendor@flavour`."""
