"""Imports: shapes, exactness, what the SQL may and may not do, and the two examples on real data."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import delimited, imports
from ingest.accept.event import Accepted, Ordinals, accept_value
from ingest.sql_errors import Sql
from ingest.tables import Reading
from schemas.errors import InputError
from schemas.instant import parse
from schemas.messages import PAYLOAD_KEPT
from schemas.rejection import Oversized, Unreadable

DATA = Path(__file__).parents[2] / "shared" / "data"
EXAMPLES = Path(__file__).parents[1] / "examples"
NOW = parse("2030-01-01T00:00:00Z")


def rows(file: Path, sql: str, *more: Any) -> Iterator[dict[str, Any] | Unreadable]:
    return imports.rows(file, Sql(sql, "a.sql"), *more)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "it's [1].csv"
    file.write_text("user,what,at\n1,Seen,2024-01-02 03:04:05\n2,Bought,2024-01-03\n")
    return file


def one(source: Path, select: str) -> dict:
    return next(rows(source, f"SELECT 'track' AS type, {select} FROM source"))


def accepted(source: Path, sql: str) -> list[Accepted]:
    ordinals = Ordinals()
    events = [accept_value(row, now=NOW, source=source.name, ordinals=ordinals) for row in rows(source, sql)]
    assert all(isinstance(event, Accepted) for event in events)
    return events


def test_columns_become_fields(source: Path):
    sql = """
        SELECT 'track' AS type, what AS event, "user" AS user_id, "at" AS "timestamp", 'a' AS anonymousId
        FROM source; -- two rows
    """
    assert list(rows(source, sql)) == [
        {"type": "track", "event": "Seen", "userId": "1", "timestamp": "2024-01-02 03:04:05", "anonymousId": "a"},
        {"type": "track", "event": "Bought", "userId": "2", "timestamp": "2024-01-03", "anonymousId": "a"},
    ]
    first, _ = accepted(source, sql)
    assert (first.body["userId"], first.occurred_at) == ("1", parse("2024-01-02T03:04:05Z"))


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "csv.zst", "parquet", "json", "ndjson", "jsonl.gz"])
def test_formats_go_by_ending(tmp_path: Path, ending: str):
    file = tmp_path / f"f.x.{ending}"
    written = "json" if "js" in ending else ending.partition(".")[0]
    duckdb.sql(f"COPY (SELECT 'é' AS who, 2 AS n) TO '{file}' (FORMAT {written})")
    if ending == "jsonl.gz":
        assert gzip.decompress(file.read_bytes())
    n = "2" if written == "csv" else 2
    assert one(file, "who AS user_id, {n: n} AS properties") == {"type": "track", "userId": "é", "properties": {"n": n}}


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("{'a': 1, 'gone': NULL, 'b': {'gone': NULL}}", {"a": 1, "b": {}}),
        ("map {'a': 1.50::DECIMAL(9, 3)}", {"a": 1.5}),
        ("""'{"a": [1, null, {"b": "é"}]}'""", {"a": [1, None, {"b": "é"}]}),
        ("""'{"a": 1}'::JSON""", {"a": 1}),
        ("""{'a': '{"b": 1}'::JSON}""", {"a": {"b": 1}}),
        ("{'a': 12345678901234567.89::DECIMAL(38, 2)}", {"a": "12345678901234567.89"}),
        ("{'a': 0.1::DECIMAL(38, 20)}", {"a": 0.1}),
        ("{'a': [1999.99::FLOAT], 'FLOAT': 0.1::FLOAT}", {"a": [1999.99], "FLOAT": 0.1}),
        ("{'a': 170141183460469231731687303715884105727::HUGEINT, 'b': 5::HUGEINT}", {"a": str(2**127 - 1), "b": 5}),
        (
            "{'a': DATE '2024-01-02', 'b': TIMESTAMPTZ '2024-01-02 03:00:00+02'}",
            {"a": "2024-01-02", "b": "2024-01-02 01:00:00+00"},
        ),
        (
            "{'a': [1, 2], 'b': 'x' || chr(0), 'c': true, 'd': 1e300::DOUBLE}",
            {"a": [1, 2], "b": "x\0", "c": True, "d": 1e300},
        ),
    ],
)
def test_values_arrive_exactly(source: Path, sql: str, value: object):
    assert one(source, f"{sql} AS properties")["properties"] == value


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ('\'{"a": 1, "a": 2}\' AS properties', "duplicate_key"),
        ("{'a': '{\"b\": 1, \"b\": 2}'::JSON} AS properties", "duplicate_key"),
        ("{'a': 'nan'::DOUBLE} AS properties", "not_a_number"),
        ("'{\"a\": 1e400}' AS properties", "not_a_number"),
        ("'{half' AS properties", "wrong_type"),
        ("('{\"a\":' || repeat('[', 900) || repeat(']', 900) || '}')::JSON AS properties", "too_deep"),
        ("('{\"a\":' || repeat('[', 5000) || repeat(']', 5000) || '}')::JSON AS properties", "wrong_type"),
        ("1.5::DOUBLE AS user_id", "wrong_type"),
    ],
)
def test_what_cannot_be_kept_is_left_for_accept_to_refuse(source: Path, sql: str, code: str):
    got = accept_value(one(source, f"'e' AS event, {sql}"), now=NOW, source="s", ordinals=Ordinals())
    assert got.code == code


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 'track' AS type, 1 AS usr_id FROM source", "`usr_id`, which is no event field. Did you mean `userId`"),
        ("SELECT 'track' AS type, * FROM source", "`user`, which is no event field"),
        ("SELECT 'track' AS type, 1 AS user_id, 2 AS userId FROM source", "`userId` twice"),
        ("SELECT what AS event FROM source", "no column `type`"),
        ("SELECT nope FROM source", 'a.sql:1:8: there is no column "nope". There are, for example, .*'),
        (
            "SELECT 'é' AS type,\n\tusr AS user_id FROM source",
            'a.sql:2:2: there is no column "usr". Did you mean "user"',
        ),
        ("SELECT 'é' AS type,\n\tusr AS user_id FROM source", "\n usr AS user_id FROM source\n \\^\\^\\^$"),
        (
            "-- c\nSELECT '東' AS type, sum(what) FROM source; -- c",
            r"a.sql:2:21: there is no sum\(VARCHAR\). .*CSV are text",
        ),
        ("-- c\nSELECT '東' AS type, sum(what) FROM source; -- c", r"\n {21}\^{9}$"),
        ("SELECT what > 1 AS name FROM source", "type VARCHAR and type INTEGER"),
        (
            "SELECT 'track' AS type, CAST(what AS INT) AS event FROM source",
            "a.sql:1:25: could not convert.*'Seen'.*TRY_CAST",
        ),
        ("SELECT * FROM sauce", 'a.sql:1:15: there is no table "sauce". Did you mean "source"'),
        ("SELECT wat(1) AS type", 'a.sql:1:8: there is no function "wat"'),
        ("SELCT 1", "a.sql:1:1: syntax error"),
        ("", "a.sql must be one SELECT"),
        ("SELECT 'a' AS type; SELECT 'b' AS type", "one SELECT"),
        ("COPY source TO '/tmp/stolen.csv'", "one SELECT"),
        ("ATTACH '/tmp/x.db'", "one SELECT"),
        ("SET memory_limit = '64GB'", "one SELECT"),
        ("SELECT content AS type FROM read_text('/etc/hostname')", 'names the file "/etc/hostname".*--with NAME=FILE'),
        ("SELECT content AS type FROM read_text('https://example.com')", "no|names the file"),
        ("SELECT file AS type FROM glob('/etc/*')", "names the file"),
        (
            "SELECT 'a' AS type, list(a.i) AS name FROM range(300000) a(i), range(3000)",
            "more memory than an import has",
        ),
    ],
)
def test_sql_that_cannot_be_is_told_with_its_place(source: Path, sql: str, message: str):
    with pytest.raises(InputError, match=re.compile(message, re.DOTALL)) as caught:
        list(rows(source, sql))
    assert not re.search("Candidate|Error:|LINE|SET |LITERAL|disabled by", str(caught.value))


def test_sources_that_cannot_be_read(tmp_path: Path):
    odd = tmp_path / "f.xlsx"
    broken = tmp_path / "f.parquet"
    odd.write_text("")
    broken.write_text("no parquet")
    for path, message in ((tmp_path / "none.csv", "There is no file"), (odd, "must end in"), (broken, "is no Parquet")):
        with pytest.raises(InputError, match=message):
            list(rows(path, "SELECT 'track' AS type FROM source"))


def properties(file: Path, *names: str, **reading: str) -> list[dict]:
    members = ", ".join(f"'{name}': \"{name}\"" for name in names)
    sql = f"SELECT 'track' AS type, {{{members}}} AS properties FROM source"
    return [each["properties"] for each in rows(file, sql, Reading(**reading)) if not isinstance(each, Unreadable)]


def unreadable(file: Path) -> list[tuple[str, str, bytes | Oversized]]:
    found = [each for each in rows(file, "SELECT 'track' AS type FROM source") if isinstance(each, Unreadable)]
    return [(each.fault.code, each.fault.value, each.raw) for each in found]


def test_a_late_row_changes_no_other_and_is_not_changed(tmp_path: Path):
    file = tmp_path / "f.csv"
    file.write_text("id,day\n" + "10,2026-03-01\n" * 25_000 + "007,2026-03-05 13:45:10\nn/a,\n")
    assert properties(file, "id", "day")[24_999:] == [
        {"id": "10", "day": "2026-03-01"},
        {"id": "007", "day": "2026-03-05 13:45:10"},
        {"id": "n/a"},
    ]
    odd = {"id": "7A139779-6750-4ACA-8280-6D447C97C2BC", "day": "2026-03-05", "new": {"a": [2.5, None]}, "ID": 1}
    file = tmp_path / "f.ndjson"
    file.write_text('{"id": 10, "day": "25-11-2025"}\n' * 25_000 + json.dumps(odd) + '\n{"id": 9007199254740993}')
    odd["ID_1"] = odd.pop("ID")
    assert properties(file, "id", "day", "new", "ID_1")[24_999:] == [
        {"id": 10, "day": "25-11-2025"},
        odd,
        {"id": 9007199254740993},
    ]


SCALARS = (
    st.none()
    | st.booleans()
    | st.text(max_size=5)
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS,
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.sampled_from(["a", "B", "b", "é'\"", ""]), each, max_size=3)
    ),
)


@settings(max_examples=25)
@given(st.lists(st.dictionaries(st.sampled_from("xyz"), VALUES), min_size=1, max_size=4), st.booleans())
def test_json_arrives_as_it_is(tmp_path_factory: pytest.TempPathFactory, objects: list[dict], array: bool):
    file = tmp_path_factory.mktemp("json") / "f.json"
    texts = [json.dumps(each) for each in [{"x": None, "y": None, "z": None}, *objects]]
    file.write_text(f"[{', '.join(texts)}]" if array else "\n".join(texts))
    assert properties(file, "x", "y", "z")[1:] == [without_nulls(each) for each in objects]


def without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [without_nulls(each) for each in value]
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return value


def test_a_number_that_nothing_holds_is_its_text(tmp_path: Path):
    file = tmp_path / "f.json"
    file.write_text('[{"a": 0.1234567890123456789, "b": 18446744073709551616},\n {"a": 1e5, "b": -0}]')
    assert properties(file, "a", "b") == [{"a": "0.1234567890123456789", "b": str(2**64)}, {"a": 1e5, "b": 0}]


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"[]", []),
        (b"", []),
        (b'{"a": 1}', [{"a": 1}]),
        (b'\xef\xbb\xbf[{"a": "\xc3\xa9"}]', [{"a": "é"}]),
        ('[{"a": "é"}]'.encode("utf-16"), [{"a": "é"}]),
        (b'{\n "a": [\n {"b": 1},\n {"b": "x"}\n ]\n}\n{\n "a": null}', [{"a": [{"b": 1}, {"b": "x"}]}, {}]),
        (b"[" + b",\n".join([b'{"a": "%s"}' % (b"y" * 99_999)] * 9) + b" ] ", [{"a": "y" * 99_999}] * 9),
    ],
)
def test_json_of_any_layout(tmp_path: Path, content: bytes, got: list[dict]):
    (tmp_path / "f.json").write_bytes(content)
    assert properties(tmp_path / "f.json", "a") == got


@pytest.mark.parametrize(
    ("content", "reading", "got"),
    [
        ("a,b\n1,x\n".encode("utf-8-sig"), {}, [{"a": "1", "b": "x"}]),
        ("a;b\n1,50;'x'\n".encode("utf-16"), {}, [{"a": "1,50", "b": "'x'"}]),
        ("a\tb\r\n1\té\r\n".encode("utf-16-le"), {}, [{"a": "1", "b": "é"}]),
        ("a|b\r1|€ „ü“\r".encode("cp1252"), {"encoding": "windows-1252"}, [{"a": "1", "b": "€ „ü“"}]),
        ("a,b\n1,東京\n".encode("shift-jis"), {"encoding": "shift-jis"}, [{"a": "1", "b": "東京"}]),
        (b'a,b\n"x\r\n""y"" ", z\n\n"",""\n', {}, [{"a": 'x\r\n"y" ', "b": " z"}, {}]),
        (b'a,b\n"x \\"y\\"",z\n', {}, [{"a": 'x "y"', "b": "z"}]),
        (b"a,b\n'x,y',z\n", {}, [{"a": "x,y", "b": "z"}]),
        (b'a,b\n5" tube,"x\n', {"quote": ""}, [{"a": '5" tube', "b": '"x'}]),
        (b"a and b\n1 and 2\n", {"delimiter": "d"}, None),
        (b"a,b;c\n1,5;2\n3,5;4\n", {"delimiter": ";"}, None),
        (b"b,a,A,\n1,2,3,4\n", {}, [{"a": "2", "b": "1"}]),
        (b"sep=;\r\na,b;b;a\r\n;1,5;2\r\n", {}, [{"a": "2", "b": "1,5"}]),
        (b"a,b\n", {}, []),
        (b"a,b\nc,d,e", {}, []),
        (b"a,b\n" + b"1," + b"x" * 300_000, {}, [{"a": "1", "b": "x" * 300_000}]),
    ],
)
def test_delimited_text(tmp_path: Path, content: bytes, reading: dict[str, str], got: list[dict] | None):
    (tmp_path / "f.csv").write_bytes(content)
    if got is None:
        with pytest.raises(InputError):
            properties(tmp_path / "f.csv", "a", "b", **reading)
    else:
        assert properties(tmp_path / "f.csv", "a", "b", **reading) == got


def test_a_file_without_a_header(tmp_path: Path):
    (tmp_path / "f.csv").write_text("1,x\n2,y\n3\n")
    sql = "SELECT 'page' AS type, column1 AS user_id, column2 AS name FROM source"
    refused, *events = rows(tmp_path / "f.csv", sql, Reading(header=False))
    assert refused.fault.value == "line 3: 1 column"
    assert [(each["userId"], each["name"]) for each in events] == [("1", "x"), ("2", "y")]


def test_a_row_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path):
    file = tmp_path / "f.csv"
    giant = b"9," + b"y" * delimited.ROW
    rows_ = [b"id,name", b'1,"a', b'b"', b"2,x,y", b'3,"x "y" z"', b"", b'4,"open', b"5,b\xe9", b"6", giant, b"7,z"]
    file.write_bytes(b"\n".join(rows_))
    assert properties(file, "id", "name") == [{"id": "1", "name": "a\nb"}, {"id": "7", "name": "z"}]
    kept = Oversized(giant[:PAYLOAD_KEPT], len(giant), sha256(giant).hexdigest())
    assert unreadable(file) == [
        ("unreadable_row", "line 4: 3 columns", b"2,x,y"),
        ("unreadable_row", 'line 5: 3,"x "y" z"', b'3,"x "y" z"'),
        ("unreadable_row", 'line 7: 4,"open', b'4,"open'),
        ("not_utf8", "line 8: 5,b\\xe9", b"5,b\xe9"),
        ("unreadable_row", "line 9: 1 column", b"6"),
        ("too_large", f"line 10: {len(giant)} bytes", kept),
    ]
    file = tmp_path / "f.json"
    file.write_text("a,b\n1,2\n")
    assert [code for code, *_ in unreadable(file)] == ["invalid_json"] * 2
    file = tmp_path / "f.ndjson"
    file.write_bytes(b'{"a": 1}\n\n{"a": \n[1]\n{"a": 1, "a": 2}\n{"a": "\xff"}\n{"a": NaN}')
    assert [(code, value) for code, value, _ in unreadable(file)] == [
        ("invalid_json", 'line 3: {"a": '),
        ("not_an_object", "line 4: [1]"),
        ("duplicate_key", "line 5: a"),
        ("not_utf8", 'line 6: {"a": "\\xff"}'),
        ("not_a_number", "line 7: NaN"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.csv", b"PAR1\x15\n", "f.csv is Parquet and no text"),
        ("f.csv", b"", "is empty. Its first line must name the columns"),
        ("f.csv", ("a;b\n" + "ö;1\n" * 11).encode("cp1252"), "No row of f.csv can be read.*line 12.*--encoding"),
        ("f.csv", b'"a,b\n1,2\n', "first line of f.csv cannot be read.*quotes"),
        ("f.csv.gz", gzip.compress(b"a,b\n" * 1_000, mtime=0)[:-9], "damaged or cut off.*nothing of it was taken"),
        ("f.json", b'[{"a": 1},\n {"a": 2}', "no whole JSON .the end is missing, line 2"),
        ("f.json", b'[{"a": 1},\n {"a": tru},\n {"a": 2}]', "no whole JSON .Expecting value, line 2"),
        ("f.json", b'[{"a": 1}\n {"a": 1}]', "a comma is missing, line 2"),
        ("f.json", b"[" * 100_000, "nested too deep"),
        (
            "f.json",
            "[" + ",".join(f'{{"k{number}": 1}}' for number in range(2_001)) + "]",
            "more than 2,000 different keys",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_whole(tmp_path: Path, name: str, content: bytes | str, message: str):
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=message):
        list(rows(tmp_path / name, "SELECT 'track' AS type FROM source"))


def test_parquet_keeps_its_types(tmp_path: Path):
    duckdb.sql(
        "COPY (SELECT 1999.99::FLOAT AS price, [{'p': 0.1::FLOAT}] AS list, map {'m': 0.2::FLOAT} AS map,"
        " 12.50::DECIMAL(9, 2) AS money, TIMESTAMP '2026-03-01 10:00:00.5' AS at, 'x'::BLOB AS blob,"
        " '8c139779-6750-4aca-8280-6d447c97c2bb'::UUID AS id, 'inf'::FLOAT AS inf, '007' AS text,"
        f" 18446744073709551615::UBIGINT AS large) TO '{tmp_path / 'f.parquet'}'"
    )
    names = ("price", "list", "map", "money", "at", "blob", "id", "text", "large")
    assert properties(tmp_path / "f.parquet", *names) == [
        {
            "price": 1999.99, "list": [{"p": 0.1}], "map": {"m": 0.2}, "money": 12.5, "at": "2026-03-01 10:00:00.5",
            "blob": "x", "id": "8c139779-6750-4aca-8280-6d447c97c2bb", "text": "007", "large": 2**64 - 1,
        }
    ]  # fmt: skip
    assert properties(tmp_path / "f.parquet", "inf") == [{"inf": float("inf")}]
    sql = "SELECT 'track' AS type, {'n': sum(price)} AS properties FROM source"
    assert next(rows(tmp_path / "f.parquet", sql)) == {"type": "track", "properties": {"n": 1999.99}}


def test_further_files_are_read_by_the_same_rules(source: Path):
    prices, names = source.with_name("prices.csv"), source.with_name("names.json")
    prices.write_text("what;price\nSeen;0,50\nBought;1;2\n")
    names.write_text('[{"user": "1", "name": "Ann"}]')
    sql = """
        SELECT 'track' AS type, {'price': p.price, 'name': n.name} AS properties
        FROM source LEFT JOIN prices AS p USING (what)
        LEFT JOIN selected AS n ON n.user = source.user ORDER BY what DESC
    """
    others = {"prices": prices, "selected": names}
    refused, *events = rows(source, sql, Reading(), others)
    assert (refused.source, refused.fault.value) == ("prices.csv", "line 3: 3 columns")
    assert [each["properties"] for each in events] == [{"price": "0,50", "name": "Ann"}, {}]
    names.write_text("[]")
    with pytest.raises(InputError, match="holds no object"):
        list(rows(source, sql, Reading(), others))


def test_order_is_that_of_the_select(source: Path):
    sql = "SELECT 'track' AS type, i AS user_id FROM range(5000) t(i) ORDER BY hash(i) DESC"
    ids = [row["userId"] for row in rows(source, sql)]
    assert ids == [row["userId"] for row in rows(source, sql)]
    assert ids == [i for (i,) in duckdb.sql("SELECT i FROM range(5000) t(i) ORDER BY hash(i) DESC").fetchall()]


@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is missing")
def test_online_retail_gives_every_expected_figure():
    expected = json.loads((DATA / "online_retail_first_10_trading_days.expected.json").read_text())
    events = accepted(
        DATA / "online_retail_first_10_trading_days.parquet", (EXAMPLES / "online_retail.sql").read_text()
    )
    properties = [event.body["properties"] for event in events]
    lines = [len(each["products"]) for each in properties]
    net = sum(Decimal(str(each.get("revenue", 0))) - Decimal(str(each.get("total", 0))) for each in properties)
    per_line = sum(
        Decimal(str(line["price"])) * line.get("quantity", 1) * (-1 if "total" in each else 1)
        for each in properties
        for line in each["products"]
    )
    assert sum(lines) == expected["rows"]
    assert len({each["order_id"] for each in properties}) == len(events) == expected["invoices"]
    assert len({event.body["userId"] for event in events if "userId" in event.body}) == expected["customers"]
    nobody = [count for event, count in zip(events, lines, strict=True) if "userId" not in event.body]
    assert sum(nobody) == expected["rows_without_customer"]
    assert len({event.body["anonymousId"] for event in events if "userId" not in event.body}) == len(nobody)
    assert net == per_line == Decimal(expected["sum_quantity_x_price"])


@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is missing")
def test_retentioneering_gives_every_click_an_id_of_its_own_twice_the_same():
    source, sql = DATA / "retentioneering_ecom.csv.gz", (EXAMPLES / "retentioneering.sql").read_text()
    events = accepted(source, sql)
    assert len(events) == len({event.message_id for event in events}) == 31_106
    assert len({event.body["userId"] for event in events}) == 600
    assert [event.message_id for event in accepted(source, sql)] == [event.message_id for event in events]
