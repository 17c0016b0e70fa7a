"""Strict YAML: what is read, and every refusal with its exact place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lab.errors import SpecError, Where
from lab.spec import loader
from lab.spec.loader import MAX_BYTES, MAX_DEPTH, MAX_NODES, parse_document, read_document


def refusal(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse_document(text, "t.yaml")
    return str(caught.value)


def test_plain_data() -> None:
    document = parse_document(
        "a: text\nb: 5\nc: -1.50\nd: [true, false, null, ~]\ne:\nf: '5'\ng: \"no\"\n"
        "h: |\n  two\n  lines\ni: 198.18.0.1\nj: 5.6.3\nk: a:1\n",
        "t.yaml",
    )
    assert document.data == {
        "a": "text",
        "b": 5,
        "c": -1.5,
        "d": (True, False, None, None),
        "e": None,
        "f": "5",
        "g": "no",
        "h": "two\nlines\n",
        "i": "198.18.0.1",
        "j": "5.6.3",
        "k": "a:1",
    }


def test_places() -> None:
    document = parse_document("a:\n  b: [x,\n    5.10]\n", "t.yaml")
    assert document.where(("a", "b", 1)) == Where("t.yaml", 3, 5)
    assert document.where(("a", "b"), key=True) == Where("t.yaml", 2, 3)
    assert document.where(("a", "b")) == Where("t.yaml", 2, 6)
    assert document.where(("a", "gone", 7)) == Where("t.yaml", 2, 3), "the nearest ancestor that there is"
    assert document.text(("a", "b", 1)) == "5.10"
    assert document.text(("a", "b")) is None
    assert document.text(("nowhere",)) is None


def test_anchors_and_merge() -> None:
    text = "base: &base {x: 1, y: 2}\nmore: &more {y: 3, z: 4}\none: {<<: *base, y: 5}\ntwo: {<<: [*base, *more]}\nthree: *base\n"
    data = parse_document(text, "t.yaml").data
    assert isinstance(data, dict)
    assert data["one"] == {"y": 5, "x": 1}
    assert data["two"] == {"x": 1, "y": 2, "z": 4}, "the first merged mapping wins"
    assert data["three"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("value", "reading"),
    [
        ("no", "a boolean"),
        ("Yes", "a boolean"),
        ("on", "a boolean"),
        ("OFF", "a boolean"),
        ("True", "a boolean"),
        ("NULL", "null"),
        ("+33123", "a number that loses its plus sign"),
        ("+1:30", "a number that loses its plus sign"),
        ("1:30", "a number in base 60"),
        ("12:30:45", "a number in base 60"),
        ("2026-01-31", "a date"),
        ("2026-01-31T10:00:00Z", "a date"),
        ("2026-1-3 10:00:00", "a date"),
        ("0123", "an octal number"),
        ("-012", "an octal number"),
        ("0x1F", "a hexadecimal, octal or binary number"),
        ("0o17", "a hexadecimal, octal or binary number"),
        ("0b11", "a hexadecimal, octal or binary number"),
        ("1_000", "a number with its underscores dropped"),
        ("1e3", "a floating-point number"),
        ("1.5E-3", "a floating-point number"),
        (".5", "a floating-point number"),
        ("5.", "a floating-point number"),
        (".inf", "infinity or not-a-number"),
        ("-.INF", "infinity or not-a-number"),
        (".NaN", "infinity or not-a-number"),
    ],
)
def test_traps(value: str, reading: str) -> None:
    message = refusal(f"a: 1\nb: [x, {value}]\n")
    assert message.startswith(f"t.yaml:2:8: unquoted {value} is {reading} to YAML; ")
    assert message.endswith(f': "{value}"')
    assert parse_document(f"b: '{value}'", "t.yaml").data == {"b": value}, "quoted it is text"


def test_long_numbers() -> None:
    assert (
        refusal("a: 33123456789012345678901")
        == 't.yaml:1:4: 33123456789012345678901 has too many digits for a number; quote it: "33123456789012345678901"'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", 't.yaml:4:3: duplicate key "c", first on line 3; remove one'),
        ('a: 1\n"a": 2\n', 't.yaml:2:1: duplicate key "a", first on line 1; remove one'),
        ("x: {5.10: a}\n", 't.yaml:1:5: the key 5.10 is not text; quote it: "5.10"'),
        ("x: {no: a}\n", 't.yaml:1:5: unquoted no is a boolean to YAML; write true or false, or quote it: "no"'),
        ("?\n: a\n", "t.yaml:1:2: the key that is nothing is not text; write a name before the colon"),
        ("? [a]\n: b\n", "t.yaml:1:3: a key must be text; write a plain name before the colon"),
        ("a: !!python/object:os.system x\n", 't.yaml:1:4: YAML tag "!!python/object:os.system" is not used here; remove it'),
        ("a: !!int '5'\n", 't.yaml:1:4: YAML tag "!!int" is not used here; remove it'),
        ("a: !own {}\n", 't.yaml:1:4: YAML tag "!own" is not used here; remove it'),
        ("a: {<<: [1]}\n", "t.yaml:1:10: << merges mappings only; give it an alias of a mapping"),
        ("a: {<<: x}\n", "t.yaml:1:9: << merges mappings only; give it an alias of a mapping"),
        ("", "t.yaml:1:1: is empty; it must hold a YAML mapping"),
        ("# only this\n", "t.yaml:1:1: is empty; it must hold a YAML mapping"),
        ("a: b\x01c\n", "t.yaml:1:5: character U+0001 is not allowed in YAML; remove it"),
        ('a: "\\U00110000"\n', "t.yaml:1:7: names a character or a YAML version that does not exist; correct the escape or version"),
        ('a: "\\UFFFFFFFF"\n', "t.yaml:1:7: names a character or a YAML version that does not exist; correct the escape or version"),
        (
            f"%YAML {'9' * 5000}.1\n---\na: 1\n",
            "t.yaml:1:7: names a character or a YAML version that does not exist; correct the escape or version",
        ),
        ('"\\udfff": 1\n', "t.yaml:1:1: half a character, which no file can hold; write the character itself"),
        ("a: !<tag:yaml.org,2002:set> {x}\n", 't.yaml:1:4: YAML tag "!!set" is not used here; remove it'),
        ("%TAG ! tag:x,2000:\n---\na: !b c\n", 't.yaml:3:4: YAML tag "tag:x,2000:b" is not used here; remove it'),
        ("%YAML 1.2\n---\na: yes\n", 't.yaml:3:4: unquoted yes is a boolean to YAML; write true or false, or quote it: "yes"'),
        ("a: 190:20:30\n", 't.yaml:1:4: unquoted 190:20:30 is a number in base 60 to YAML; quote it: "190:20:30"'),
        ("~: 1\n", 't.yaml:1:1: the key ~ is not text; quote it: "~"'),
        ("a: {<<: null}\n", "t.yaml:1:9: << merges mappings only; give it an alias of a mapping"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    assert refusal(text) == message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1, 2\nb: 3\n", "t.yaml:2:2: "),
        ("a: {b: 1\n", "t.yaml:2:1: "),
        ("a:\n\tb: 1\n", "t.yaml:2:1: "),
        ("a: 'x\n", "t.yaml:2:1: "),
        ("a: *nowhere\n", "t.yaml:1:4: "),
        ("a: 1\n---\nb: 2\n", "t.yaml:2:1: "),
        ("a: b: c\n", "t.yaml:1:5: "),
        ("@a: 1\n", "t.yaml:1:1: "),
    ],
)
def test_syntax(text: str, place: str) -> None:
    message = refusal(text)
    assert message.startswith(place + "is not valid YAML: ")
    assert "\n" not in message


def test_nesting_is_bounded() -> None:
    parse_document("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "t.yaml")
    assert refusal("[" * 5000).startswith(f"t.yaml:1:{MAX_DEPTH + 2}: nested deeper than {MAX_DEPTH} levels")


def test_alias_bombs_are_bounded() -> None:
    levels = "".join(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10))
    assert f"more than {MAX_NODES} values" in refusal(f"a0: &a0 [x]\n{levels}")
    merges = "".join(f"b{level}: &b{level} {{<<: [{', '.join([f'*b{level - 1}'] * 10)}]}}\n" for level in range(1, 10))
    assert f"more than {MAX_NODES} values" in refusal(f"b0: &b0 {{x: y}}\n{merges}")
    wide = ", ".join(f"k{index}: v" for index in range(2000))
    assert f"more than {MAX_NODES} values" in refusal(f"w: &w {{{wide}}}\nm: {{<<: [{', '.join(['*w'] * 5000)}]}}\n")


def test_recursion_is_bounded() -> None:
    assert f"nested deeper than {MAX_DEPTH} levels" in refusal("a: &a [*a]\n")
    assert f"nested deeper than {MAX_DEPTH} levels" in refusal("a: &a {<<: *a}\n")


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def failure(name: str) -> str:
        with pytest.raises(SpecError) as caught:
            read_document(tmp_path / name)
        return str(caught.value)

    assert failure("gone.yaml") == "gone.yaml: no such file; check the path"
    (tmp_path / "folder.yaml").mkdir()
    assert failure("folder.yaml") == "folder.yaml: is a folder, not a YAML file; name the file in it"
    (tmp_path / "latin.yaml").write_bytes("a: 1\nb: é".encode("latin-1"))
    assert failure("latin.yaml") == "latin.yaml:2:4: byte 0xe9 is not UTF-8; save the file as UTF-8"
    (tmp_path / "big.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    assert failure("big.yaml") == "big.yaml: is larger than 256 KiB; split it"
    (tmp_path / "file").write_text("x")
    assert failure("file/x.yaml") == "file/x.yaml: cannot be read: Not a directory; check its permissions"
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_document(tmp_path / "bom.yaml").data == {"a": 1}


def test_display(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    assert loader.display(tmp_path / "in" / "x.yaml") == "x.yaml"
    assert loader.display(tmp_path / "x.yaml") == str(tmp_path / "x.yaml")


@given(st.text(alphabet="ab:-[]{}&*<>!|'\"#,?%@`~ \n\t01.+_=", max_size=60))
@example("&a [*a, *a]")
def test_any_text_is_data_or_one_line(text: str) -> None:
    message = "t.yaml: fine"
    try:
        parse_document(text, "t.yaml")
    except SpecError as error:
        message = str(error)
    assert message.startswith("t.yaml:")
    assert len(message.splitlines()) == 1


@given(st.binary(max_size=80))
def test_any_bytes_are_data_or_one_line(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(raw)
    message = "fine"
    try:
        read_document(path)
    except SpecError as error:
        message = str(error)
    assert len(message.splitlines()) == 1
