"""From a document to a model: each of pydantic's complaints becomes one line with file, line and column."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lab.errors import SpecError, Where
from lab.spec.loader import Document, KeyPath
from lab.spec.names import nearest, quoted

M = TypeVar("M", bound=BaseModel)

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}


@dataclass(frozen=True)
class Problem:
    """Something wrong at `path` of a document: at its key rather than at its value where `key`."""

    path: KeyPath
    what: str
    remedy: str = ""
    key: bool = False


def validated(document: Document, model: type[M]) -> M:
    """The document as `model`, or a SpecError that holds all that is wrong with it."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        found = problems_of(error, model, (), document.text)
    raise spec_error(document, found)


def problems_of(
    error: ValidationError, model: type[BaseModel], at: KeyPath, text: Callable[[KeyPath], str | None] = lambda _: None
) -> list[Problem]:
    """Pydantic's complaints about what stands `at` a path and was to be `model`; `text` is how a scalar was written."""
    details = [detail for detail in error.errors(include_url=False) if not _echo(detail)]
    return [_problem(detail, model, at, text) for detail in details]


def reject(document: Document, problems: Iterable[Problem]) -> None:
    """Raise them as one SpecError; return where there are none."""
    found = tuple(problems)
    if found:
        raise spec_error(document, found)


def spec_error(document: Document, problems: Iterable[Problem]) -> SpecError:
    """One SpecError of several problems, in the order in which the file has them."""

    def place(problem: Problem) -> Where:
        return document.where(problem.path, key=problem.key)

    ordered = sorted(problems, key=lambda problem: (place(problem).line, place(problem).column))
    first, *others = [SpecError(problem.what, where=place(problem), remedy=problem.remedy) for problem in ordered]
    first.others = tuple(others)
    return first


def _echo(detail: ErrorDetails) -> bool:
    """Pydantic counts valid items only: a list of one bad item it calls too short as well."""
    return detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]


def _problem(detail: ErrorDetails, model: type[BaseModel], at: KeyPath, text: Callable[[KeyPath], str | None]) -> Problem:
    kind, context = detail["type"], detail.get("ctx", {})
    at_key = detail["loc"][-1:] == ("[key]",) and kind != "extra_forbidden"
    inside = detail["loc"][:-1] if at_key else detail["loc"]
    path = (*at, *inside)
    if kind == "siplab":
        path += tuple(context["at"])
        return Problem(path, _prefixed(path, context["what"]), context["remedy"], key=at_key)
    if kind == "extra_forbidden":
        wrong = str(path[-1])
        return Problem(path, _prefixed(path[:-1], f"unknown key {quoted(wrong)}"), _known_key(wrong, keys_of(model, inside[:-1])), key=True)
    if kind == "missing":
        return Problem(path[:-1], _prefixed(path[:-1], f'key "{path[-1]}" is missing'), "add it", key=True)
    return _value_problem(detail, path, text(path))


def _value_problem(detail: ErrorDetails, path: KeyPath, text: str | None) -> Problem:
    kind, context = detail["type"], detail.get("ctx", {})
    shown = _shown(detail["input"], text)
    if kind in _EXPECTED:
        return Problem(path, _prefixed(path, f"must be {_EXPECTED[kind]}, not {shown}"), _type_remedy(kind, detail["input"], text))
    if kind == "literal_error":
        expected = context["expected"].replace("True", "true")  # as YAML has it here
        return Problem(path, _prefixed(path, f"must be {expected}, not {shown}"), _literal_remedy(detail["input"], expected))
    if kind == "too_short":
        return Problem(path, _prefixed(path, "is empty"), f"give at least {context['min_length']}")
    return Problem(path, _prefixed(path, f"is {shown}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"))


def _known_key(key: str, known: list[str]) -> str:
    return nearest(key, known) if known else "it has no keys: remove it"


def _prefixed(path: KeyPath, what: str) -> str:
    return f"{_dotted(path)}: {what}" if path else what


def _dotted(path: KeyPath) -> str:
    text = ""
    for part in path:
        plain = isinstance(part, str) and part.replace("-", "").replace("_", "").isalnum()
        text += f".{part}" if plain else f"[{json.dumps(part)}]"
    return text.removeprefix(".")


def _shown(value: object, text: str | None) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool | int | float):
        return text if text is not None else json.dumps(value)
    if isinstance(value, str):
        return quoted(value)
    return "a mapping" if isinstance(value, Mapping) else "a list"


def _type_remedy(kind: str, value: object, text: str | None) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f'quote it: "{text if text is not None else value}"'
    if kind in {"tuple_type", "list_type"} and isinstance(value, str):
        return f"write [{value}]"
    if _EXPECTED[kind] == "a mapping" and value is None:
        return "write {} for an empty one"
    return ""


def _literal_remedy(value: object, expected: str) -> str:
    known = [part.strip("'") for part in expected.replace(" or ", ", ").split(", ")]
    return nearest(value, known) if isinstance(value, str) else f"write {' or '.join(known)}"


def keys_of(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys that the mapping at `path` may have."""
    kind: Any = model
    for part in path:
        kind = _member(kind, part)
    if not _is_model(kind):
        return []
    return [field.alias or name for name, field in kind.model_fields.items()]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _member(kind: Any, part: str | int) -> Any:
    """The type of `part` inside a value of type `kind`; None where models know nothing of it."""
    if _is_model(kind):
        for name, field in kind.model_fields.items():
            if part in (name, field.alias):
                return _unwrapped(field.annotation)
        return None
    if get_origin(kind) is tuple:
        return _unwrapped(get_args(kind)[0])
    if get_origin(kind) is not None:
        return _unwrapped(get_args(kind)[-1])
    return None


def _unwrapped(kind: Any) -> Any:
    """`X` of `X | None`."""
    return next((member for member in get_args(kind) if _is_model(member)), kind) if type(None) in get_args(kind) else kind
