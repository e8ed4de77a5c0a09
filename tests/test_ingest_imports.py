"""Imports: shapes, exactness, what the SQL may and may not do, and the two examples on real data."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from ingest.accept.event import Accepted, Ordinals, accept_value
from ingest.imports import rows
from schemas.errors import InputError
from schemas.instant import parse

DATA = Path(__file__).parents[2] / "shared" / "data"
EXAMPLES = Path(__file__).parents[1] / "examples"
NOW = parse("2030-01-01T00:00:00Z")


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
        {"type": "track", "event": "Seen", "userId": 1, "timestamp": "2024-01-02 03:04:05", "anonymousId": "a"},
        {"type": "track", "event": "Bought", "userId": 2, "timestamp": "2024-01-03 00:00:00", "anonymousId": "a"},
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
    assert one(file, "who AS user_id, {n: n} AS properties") == {"type": "track", "userId": "é", "properties": {"n": 2}}


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
        ("SELECT nope FROM source", 'Referenced column "nope" not found'),
        ("SELECT 'track' AS type, CAST(what AS INT) AS event FROM source", "Could not convert string"),
        ("SELCT 1", "syntax error"),
        ("", "one SELECT"),
        ("SELECT 'a' AS type; SELECT 'b' AS type", "one SELECT"),
        ("COPY source TO '/tmp/stolen.csv'", "one SELECT"),
        ("ATTACH '/tmp/x.db'", "one SELECT"),
        ("SET memory_limit = '64GB'", "one SELECT"),
        ("SELECT content AS type FROM read_text('/etc/hostname')", "disabled by configuration"),
        ("SELECT content AS type FROM read_text('https://example.com')", "disabled|not found|does not exist|Missing"),
        ("SELECT file AS type FROM glob('/etc/*')", "disabled by configuration"),
    ],
)
def test_sql_that_cannot_be_is_one_clear_line(source: Path, sql: str, message: str):
    with pytest.raises(InputError, match=message) as caught:
        list(rows(source, sql))
    assert "\n" not in str(caught.value)


def test_sources_that_cannot_be_read(tmp_path: Path):
    odd = tmp_path / "f.xlsx"
    broken = tmp_path / "f.parquet"
    odd.write_text("")
    broken.write_text("no parquet")
    for path, message in ((tmp_path / "none.csv", "There is no file"), (odd, "must end in"), (broken, "Cannot read")):
        with pytest.raises(InputError, match=message):
            list(rows(path, "SELECT 'track' AS type FROM source"))


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
