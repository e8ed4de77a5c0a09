"""Strict YAML: what is read, what is refused, and that nothing makes it raise."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.errors import Problem
from schemas.yaml.strict import DEPTH_LIMIT, SIZE_LIMIT, Mapping, Node, Scalar, Sequence, load


def plain(node: Node) -> object:
    if isinstance(node, Mapping):
        return {name: plain(value) for name, (_, value) in node.entries.items()}
    return [plain(item) for item in node.items] if isinstance(node, Sequence) else node.value


def read(text: str | bytes) -> tuple[list[object], list[str]]:
    problems: list[Problem] = []
    nodes = load(text, "f.yaml", problems)
    return [plain(node) for node in nodes], [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2026-03-02", "2026-03-02"),
        ("1_000", "1_000"),
        ("=", "="),
        ("<<", "<<"),
        ("0o14", 12),
        ("0x1F", 31),
        ("-7", -7),
        ("0", 0),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("True", True),
        ("FALSE", False),
        ("'true'", "true"),
        ('"012"', "012"),
        ("~", None),
        ("null", None),
        ("'null'", "null"),
    ],
)
def test_plain_values_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    (document,), problems = read(f"a: {text}")
    assert document == {"a": value}
    assert type(document["a"]) is type(value)
    assert problems == []


def test_every_value_knows_its_place() -> None:
    (document,) = load("# x\na:\n  - b: 5\n", "f.yaml", [])
    assert isinstance(document, Mapping)
    key, items = document.entries["a"]
    assert (key.line, key.column) == (2, 1)
    assert isinstance(items, Sequence)
    (item,) = items.items
    assert isinstance(item, Mapping)
    assert item.entries["b"] == (Scalar(3, 5, "b", "b", False), Scalar(3, 8, 5, "5", False))


def test_empty_documents_are_left_out() -> None:
    assert read("") == ([], [])
    assert read("---\n---\na: 1\n---\n# nothing\n") == ([{"a": 1}], [])
    assert read("\ufeffa: 1") == ([{"a": 1}], [])


def test_documents_before_a_syntax_error_are_kept() -> None:
    documents, problems = read("a: 1\n---\nb: [\n")
    assert documents == [{"a": 1}]
    assert [problem.partition(": ")[0] for problem in problems] == ["f.yaml:4:1"]


def test_all_mistakes_of_a_file_are_found_in_one_run() -> None:
    text = "a: 1\na: 2\nb: 007\nc: .nan\nd: !!str x\ne: &x 1\n[1]: 2\nf: 1e999\ng: 1234567890123456789012345678901\n"
    assert read(text)[1] == [
        "f.yaml:2:1: `a` is here a second time (first on line 1); keep one.",
        "f.yaml:3:4: `007` would lose its leading zero; put quotes around it if it is text.",
        "f.yaml:4:4: `.nan` is no usable number; put quotes around it if it is text.",
        "f.yaml:5:4: `tag:yaml.org,2002:str` is a tag; remove it, values have no tags here.",
        "f.yaml:6:4: `&x` is an anchor; remove it and write values out.",
        "f.yaml:7:1: A key must be plain text; put quotes around text that begins with { or [.",
        "f.yaml:8:4: `1e999` is too large a number; write a smaller one.",
        "f.yaml:9:4: `1234567890123456789012345678901` is no usable number; put quotes around it if it is text.",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"a: 1\nb: \xff", "f.yaml:2:4: The file is not UTF-8; save it with that encoding."),
        ("a: x\x00", "f.yaml:1:5: The character U+0000 cannot be here; remove it."),
        ('a: "\\ud800"', "f.yaml:1:4: The text holds a null character or half a surrogate pair; remove it."),
        ('a: "\\U00110000"', "f.yaml: A \\U escape names no Unicode character; correct it."),
        ("a: *b", "f.yaml:1:4: `*b` is an alias; write the value out instead."),
        ("%YAML 1.1\n---\na: 1", "f.yaml:2:1: Plan files are YAML 1.2; remove the %YAML line."),
        (
            "[" * 100_000,
            f"f.yaml:1:{DEPTH_LIMIT + 2}: Values are nested more than {DEPTH_LIMIT} deep; make it flatter.",
        ),
        ("x" * (SIZE_LIMIT + 1), "f.yaml: The file is larger than 256 KiB; split it."),
    ],
)
def test_what_cannot_be_read_is_one_problem(text: str | bytes, problem: str) -> None:
    assert read(text)[1] == [problem]


def test_an_alias_bomb_is_refused_at_its_first_alias() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{n}: &{n} [*{p}, *{p}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True))
    documents, problems = read(bomb)
    assert documents == []
    assert problems[-1] == "f.yaml:2:8: `*a` is an alias; write the value out instead."


@given(
    st.one_of(
        st.binary(), st.text(), st.text("-[]{}:,?!&*#|>'\"%@`\\ \n\ta1~.\x85\u2028ux0"), st.text('"\\uUx01dD8F \n')
    )
)
@example(b"\xef\xbb\xbfa: 1")
def test_nothing_makes_it_raise(text: str | bytes) -> None:
    documents, problems = read(text)
    for problem in problems:
        assert "\n" not in problem
    repr(documents).encode(errors="surrogatepass")
