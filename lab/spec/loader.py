"""YAML, strictly: what a person wrote is what is meant, or an error with the place.

PyYAML composes the node tree and this module turns it into plain data itself, because YAML 1.1 guesses: `no` becomes false, `1:30` becomes
90, `+33123` a number and `0123` an octal one. Each of these, and each duplicate key, is an error here. Lists become tuples, so that frozen
models hold frozen data. Sizes are bounded: a topology that somebody sent must not be able to exhaust the reader.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from yaml.reader import ReaderError

from lab.errors import SpecError, Where

MAX_BYTES = 256 * 1024
"""Largest file that is read."""
MAX_NODES = 20_000
"""Most values that a file may hold once its aliases are expanded."""
MAX_DEPTH = 24
"""Deepest nesting of mappings and lists."""

KeyPath = tuple[str | int, ...]

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_WORDS: dict[str, object] = {"true": True, "false": False, "null": None, "~": None, "": None}
_MAX_DIGITS = 18
_TRAPS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"(?i)yes|no|on|off|true|false"), "a boolean", "write true or false, or quote it"),
    (re.compile(r"(?i)null"), "null", "write null, or quote it"),
    (re.compile(r"\+[0-9][0-9_.:]*"), "a number that loses its plus sign", "quote it"),
    (re.compile(r"-?0[0-9_]+"), "an octal number", "quote it, or write it without leading zeros"),
    (re.compile(r"[-+]?0[xob][0-9a-fA-F_]+"), "a hexadecimal, octal or binary number", "quote it, or write it in decimal"),
    (re.compile(r"-?[0-9][0-9_]*(?::[0-9]+)+(?:\.[0-9]*)?"), "a number in base 60", "quote it"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?"), "a date", "quote it"),
    (re.compile(r"-?[0-9]+_[0-9_.]*"), "a number with its underscores dropped", "quote it, or write it without them"),
    (re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+"), "a floating-point number", "quote it, or write it without exponent"),
    (re.compile(r"(?i)[-+]?\.(?:inf|nan)"), "infinity or not-a-number", "quote it"),
    (re.compile(r"[-+]?(?:[0-9]+\.|\.[0-9]+)"), "a floating-point number", "quote it, or write digits on both sides of the point"),
)


@dataclass(frozen=True)
class Place:
    """Where one value stands: 1-based (line, column) of its key and of itself, and its text as written where it is a scalar."""

    key: tuple[int, int]
    value: tuple[int, int]
    text: str | None = None


@dataclass(frozen=True)
class Document:
    """A file's data, and where in the file each part of it stands."""

    file: str
    data: object
    places: Mapping[KeyPath, Place]

    def where(self, path: KeyPath, *, key: bool = False) -> Where:
        """The place of `path`, or of its nearest ancestor that the file has; of the key instead of the value where `key`."""
        while path and path not in self.places:
            path, key = path[:-1], False
        place = self.places[path]
        return Where(self.file, *(place.key if key else place.value))

    def text(self, path: KeyPath) -> str | None:
        """The scalar at `path` as it was written (`5.10`, which as a number is 5.1)."""
        place = self.places.get(path)
        return place.text if place else None


def read_document(path: Path) -> Document:
    """Read a YAML file. Every way in which this can go wrong is a SpecError of one line."""
    file = display(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SpecError("no such file", where=Where(file), remedy="check the path") from None
    except IsADirectoryError:
        raise SpecError("is a folder, not a YAML file", where=Where(file), remedy="name the file in it") from None
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", where=Where(file), remedy="check its permissions") from error
    if len(raw) > MAX_BYTES:
        raise SpecError(f"is larger than {MAX_BYTES // 1024} KiB", where=Where(file), remedy="split it")
    return parse_document(_decode(raw, file), file)


def parse_document(text: str, file: str) -> Document:
    """Parse YAML text; `file` is what errors call it."""
    try:
        root = _composed(text, file)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, file) from error
    except ReaderError as error:
        line, column = _line_column(text, error.position)
        what = f"character U+{ord(text[error.position]):04X} is not allowed in YAML"
        raise SpecError(what, where=Where(file, line, column), remedy="remove it") from error
    if root is None:
        raise SpecError("is empty", where=Where(file, 1, 1), remedy="it must hold a YAML mapping")
    reader = _Reader(file)
    data = reader.value((), root, _mark(root), depth=0)
    return Document(file, data, reader.places)


def _composed(text: str, file: str) -> yaml.Node | None:
    """The node tree. Some numbers PyYAML turns into what they name without a look at their size."""
    composer = _Composer(text, file)
    try:
        return composer.get_single_node()
    except (ValueError, OverflowError) as error:
        mark = composer.get_mark()
        where, remedy = Where(file, mark.line + 1, mark.column + 1), "correct the escape or version"
        raise SpecError("names a character or a YAML version that does not exist", where=where, remedy=remedy) from error


def display(path: Path) -> str:
    """A path as a person would type it: relative where it lies below the working directory."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def _decode(raw: bytes, file: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        where = Where(file, *_line_column(before, len(before)))
        raise SpecError(f"byte 0x{raw[error.start]:02x} is not UTF-8", where=where, remedy="save the file as UTF-8") from None


def _line_column(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _syntax_error(error: yaml.MarkedYAMLError, file: str) -> SpecError:
    mark = error.problem_mark or error.context_mark
    where = Where(file, mark.line + 1, mark.column + 1) if mark else Where(file)
    context = f" {error.context}" if error.context and error.problem_mark else ""
    what = f"is not valid YAML:{context} {error.problem or error.context}"
    return SpecError(" ".join(what.split()), where=where, remedy="check the indentation and quotes around here")


def _mark(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


class _Composer(yaml.BaseLoader):
    """Node tree without any guessing of types; nesting is bounded while composing, which is recursive in PyYAML."""

    def __init__(self, text: str, file: str) -> None:
        super().__init__(text)
        self._file = file
        self._nesting = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse tags (they would name Python types) and deep nesting before descending."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        where = Where(self._file, event.start_mark.line + 1, event.start_mark.column + 1)
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            raise SpecError(f'YAML tag "{shown}" is not used here', where=where, remedy="remove it")
        if self._nesting > MAX_DEPTH:
            raise _too_deep(where)
        self._nesting += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._nesting -= 1


def _too_deep(where: Where) -> SpecError:
    return SpecError(f"nested deeper than {MAX_DEPTH} levels", where=where, remedy="flatten it")


@dataclass
class _Reader:
    """Turns nodes into data and remembers the places."""

    file: str
    places: dict[KeyPath, Place] = field(default_factory=dict)
    nodes: int = 0

    def value(self, path: KeyPath, node: yaml.Node, key: tuple[int, int], *, depth: int) -> object:
        self._count(node, depth)
        text = node.value if isinstance(node, yaml.ScalarNode) else None
        self.places[path] = Place(key, _mark(node), text)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.value((*path, index), item, _mark(item), depth=depth + 1) for index, item in enumerate(node.value))
        pairs = self._pairs(node, depth)
        return {name: self.value((*path, name), item, _mark(at), depth=depth + 1) for name, (at, item) in pairs.items()}

    def _count(self, node: yaml.Node, depth: int, size: int = 1) -> None:
        self.nodes += size
        if self.nodes > MAX_NODES:
            raise SpecError(f"more than {MAX_NODES} values", where=self._where(node), remedy="use fewer aliases or split the file")
        if depth > MAX_DEPTH:
            raise _too_deep(self._where(node))

    def _where(self, node: yaml.Node) -> Where:
        return Where(self.file, *_mark(node))

    def _pairs(self, node: yaml.Node, depth: int) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """The mapping's own entries over those it merges (`<<`)."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, item in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == "<<" and not key.style:
                for name, pair in self._merge(item, depth).items():
                    merged.setdefault(name, pair)
                continue
            name = self._key(key)
            if name in own:
                first = own[name][0].start_mark.line + 1
                raise SpecError(f'duplicate key "{name}", first on line {first}', where=self._where(key), remedy="remove one")
            own[name] = (key, item)
        return own | {name: pair for name, pair in merged.items() if name not in own}

    def _merge(self, node: yaml.Node, depth: int) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        self._count(node, depth)
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                raise SpecError("<< merges mappings only", where=self._where(source), remedy="give it an alias of a mapping")
            self._count(source, depth, len(source.value))
            for name, pair in self._pairs(source, depth + 1).items():
                merged.setdefault(name, pair)
        return merged

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise SpecError("a key must be text", where=self._where(node), remedy="write a plain name before the colon")
        value = self._scalar(node)
        if not isinstance(value, str):
            remedy = f'quote it: "{node.value}"' if node.value else "write a name before the colon"
            raise SpecError(f"the key {node.value or 'that is nothing'} is not text", where=self._where(node), remedy=remedy)
        return value

    def _scalar(self, node: yaml.ScalarNode) -> object:
        text: str = node.value
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise SpecError("half a character, which no file can hold", where=self._where(node), remedy="write the character itself")
        if node.style:  # quoted, or a block: text, whatever it looks like
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text) and len(text) <= _MAX_DIGITS:
            return int(text)
        if _FLOAT.fullmatch(text) and len(text) <= _MAX_DIGITS:
            return float(text)
        if _INTEGER.fullmatch(text):
            raise SpecError(f"{text} has too many digits for a number", where=self._where(node), remedy=f'quote it: "{text}"')
        for pattern, reading, remedy in _TRAPS:
            if pattern.fullmatch(text):
                what = f"unquoted {text} is {reading} to YAML"
                raise SpecError(what, where=self._where(node), remedy=f'{remedy}: "{text}"')
        return text
