"""The contract's JSON Schema, and a validator for exactly the keywords that it uses."""

from __future__ import annotations

import json
import re
from typing import Any

from lab.conformance.contract import ERRORS, EVENTS, MAX_LINE, METHODS, RESULTS, SOURCES, VERSION, Members, Schema, enum

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def contract_json_schema() -> Schema:
    """JSON Schema (2020-12) of every line in either direction; `$defs` has each method, result and event by its name."""
    definitions = {f"request:{name}": request_schema(name) for name in METHODS}
    definitions |= {f"result:{name}": result_schema(name) for name in METHODS}
    definitions |= {f"event:{name}": event_schema(name) for name in EVENTS}
    requests = [{"$ref": f"#/$defs/request:{name}"} for name in METHODS]
    events = [{"$ref": f"#/$defs/event:{name}"} for name in EVENTS]
    definitions |= {"response": response_schema(), "request": {"oneOf": requests}, "event": {"oneOf": events}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"siplab agent contract, version {VERSION}: one line",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in ("request", "response", "event")],
        "$defs": definitions,
    }


def members_schema(members: Members) -> Schema:
    """An object with these members; unknown ones are ignored on both sides, and null stands for absent where a member is optional."""
    properties: Schema = {}
    for name, member in members.items():
        described = member.schema if member.default is None else {**member.schema, "default": member.default}
        properties[name] = described if member.required else {"anyOf": [described, {"type": "null"}]}
    required = [name for name, member in members.items() if member.required]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def request_schema(method: str) -> Schema:
    """A request line of one method."""
    params = members_schema(METHODS[method])
    properties = {"id": {"type": ["integer", "string"]}, "method": {"const": method}, "params": params}
    return {"type": "object", "properties": properties, "required": ["id", "method", *(["params"] if "required" in params else [])]}


def result_schema(method: str) -> Schema:
    """The `result` of one method."""
    return members_schema(RESULTS.get(method, {}))


def response_schema() -> Schema:
    """A response line: exactly one of `result` and `error`."""
    error = {
        "type": "object",
        "properties": {"code": enum(*ERRORS), "message": {"type": "string", "minLength": 1}},
        "required": ["code", "message"],
    }
    number = {"type": ["integer", "string", "null"]}
    return {
        "type": "object",
        "properties": {"id": number, "result": {"type": "object"}, "error": error},
        "required": ["id"],
        "oneOf": [{"required": ["result"]}, {"required": ["error"]}],
    }


def event_schema(event: str) -> Schema:
    """An event line of one kind."""
    schema = members_schema(EVENTS[event])
    properties = {"event": {"const": event}, "t": {"type": "number"}, "source": enum(*SOURCES), **schema["properties"]}
    return {**schema, "properties": properties, "required": ["event", "t", "source", *schema.get("required", [])]}


def wrong_line(line: bytes) -> str:
    """What is wrong with a line of an agent's output, or nothing."""
    if len(line) > MAX_LINE:
        return f"{len(line)} bytes in one line, {MAX_LINE} are allowed"
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return "not JSON"
    return wrong_message(message) if isinstance(message, dict) else "no JSON object"


def wrong_message(message: dict[str, Any]) -> str:
    """What is wrong with a response or an event, or nothing."""
    if "event" not in message:
        return wrong(response_schema(), message)
    name = message["event"]
    if not isinstance(name, str) or name not in EVENTS:
        return f"unknown event {name!r}"
    return wrong(event_schema(name), message, name)


def wrong(schema: Schema, value: Any, at: str = "") -> str:
    """What is wrong with a value, named by its place, or nothing. Knows the keywords that the contract's schema uses."""
    where = at or "the message"
    problem = _wrong_choice(schema, value, where) or _wrong_value(schema, value, where) or _wrong_type(schema, value, where)
    if problem:
        return problem
    if isinstance(value, dict):
        return _wrong_object(schema, value, at)
    if isinstance(value, list):
        return _wrong_list(schema, value, where)
    return _wrong_scalar(schema, value, where)


def _wrong_value(schema: Schema, value: Any, where: str) -> str:
    if "const" in schema and value != schema["const"]:
        return f"{where} must be {schema['const']!r}, not {_short(value)}"
    if "enum" in schema and (isinstance(value, bool) or value not in schema["enum"]):
        return f"{where} must be one of {', '.join(map(str, schema['enum']))}, not {_short(value)}"
    return ""


def _wrong_type(schema: Schema, value: Any, where: str) -> str:
    types = schema.get("type", [])
    names = [types] if isinstance(types, str) else types
    fits = not names or any(_is(value, name) for name in names)
    return "" if fits else f"{where} must be of type {' or '.join(names)}, not {_short(value)}"


def _wrong_choice(schema: Schema, value: Any, where: str) -> str:
    options = schema.get("anyOf") or schema.get("oneOf")
    if not options:
        return ""
    found = [wrong(option, value, where) for option in options]
    fitting = found.count("")
    if not fitting:
        return found[0]
    return f"{where} fits {fitting} of the alternatives, it must be one" if "oneOf" in schema and fitting > 1 else ""


def _is(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _wrong_object(schema: Schema, value: dict[str, Any], at: str) -> str:
    for name in schema.get("required", ()):
        if name not in value:
            return f"{at}: {name} is missing" if at else f"{name} is missing"
    for name, member in schema.get("properties", {}).items():
        problem = wrong(member, value[name], f"{at}.{name}" if at else name) if name in value else ""
        if problem:
            return problem
    return ""


def _wrong_list(schema: Schema, value: list[Any], where: str) -> str:
    low, high = schema.get("minItems", len(value)), schema.get("maxItems", len(value))
    if not low <= len(value) <= high:
        return f"{where} must have from {low} to {high} items, not {len(value)}"
    if schema.get("uniqueItems") and len({json.dumps(item) for item in value}) < len(value):
        return f"{where} names something twice"
    found = (wrong(schema.get("items", {}), item, f"{where}[{number}]") for number, item in enumerate(value))
    return next((problem for problem in found if problem), "")


def _wrong_scalar(schema: Schema, value: Any, where: str) -> str:
    if isinstance(value, str):
        if len(value) < schema.get("minLength", 0):
            return f"{where} is empty"
        if "pattern" in schema and not re.search(schema["pattern"].removesuffix("$") + r"\Z", value):
            return f"{where} must match {schema['pattern']}, not {_short(value)}"
    elif isinstance(value, (int, float)):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        if not low <= value <= high:
            return f"{where} must be from {low} to {high}, not {_short(value)}"
    return ""


def _short(value: Any) -> str:
    return json.dumps(value)[:60]
