"""Queries: the same exact values in every form, everything described, and nothing but reading."""

from __future__ import annotations

import csv
import io

import duckdb
import pyarrow.parquet as pq
import pytest

from rapport.terminal.query_result import FORMATS

SQL = (
    "SELECT 'a,\"b\"' AS text, 12.50::DECIMAL(9, 2) AS money, 170141183460469231731687303715884105727::HUGEINT AS huge,"
    " TIMESTAMP '2026-03-02 10:00:00' AS at, [1, 2] AS list, MAP {'k': 0.10::DECIMAL(4, 2)} AS map, NULL AS nothing"
)


@pytest.fixture
def data(published):
    return published


def test_json_keeps_numbers_exact(rapport, data):
    ended = rapport("query", SQL, "--data", data, "--json")
    assert b'"money":12.50' in ended.out
    assert b'"huge":170141183460469231731687303715884105727' in ended.out
    assert b'"map":{"k":0.10}' in ended.out
    assert ended.json[0]["at"] == "2026-03-02T10:00:00Z"
    assert ended.json[0]["nothing"] is None


def test_csv_is_csv(rapport, data):
    rows = list(csv.reader(io.StringIO(rapport("query", SQL, "--data", data, "--format", "csv").text)))
    assert rows[0] == ["text", "money", "huge", "at", "list", "map", "nothing"]
    assert rows[1][:3] == ['a,"b"', "12.50", "170141183460469231731687303715884105727"]
    assert rows[1][3:] == ["2026-03-02 10:00:00+00:00", "[1,2]", '{"k":0.10}', ""]


@pytest.mark.parametrize(
    ("sql", "as_json", "as_csv"),
    [
        ("INTERVAL '21 days 1:30'", '"21 days 01:30:00"', "21 days 01:30:00"),
        ("[INTERVAL '-1 second']", '["-00:00:01"]', '"[""-00:00:01""]"'),
        ("TIMESTAMPTZ '2026-03-02 10:00:00.5+02'", '"2026-03-02T08:00:00.5Z"', "2026-03-02 08:00:00.5+00:00"),
        ("TIMESTAMP_NS '2026-03-02 10:00:00.123456789'", '"2026-03-02T10:00:00.123456789Z"', None),
        (
            "timezone('Europe/Berlin', TIMESTAMPTZ '2026-03-02 10:00:00+00')",
            '"2026-03-02T11:00:00"',
            "2026-03-02 11:00:00",
        ),
        ("{'at': TIMESTAMP '12026-03-02 10:00:00'}", '{"at":"12026-03-02T10:00:00Z"}', None),
        ("'-infinity'::TIMESTAMP", '"-infinity"', "-infinity"),
        ("DATE '10000-01-01'", '"10000-01-01"', "10000-01-01"),
        ("'10:00:00+01'::TIMETZ", '"10:00:00+01:00"', "10:00:00+01:00"),
        ('\'{"a": 1.10,\n"b": 12345678901234567890123}\'::JSON', '{"a": 1.10, "b": 12345678901234567890123}', None),
        ("['{}'::JSON, NULL]", "[{},null]", None),
        ("'nan'::DOUBLE", '"NaN"', "nan"),
        ("-'inf'::FLOAT", '"-Infinity"', "-inf"),
        ("to_json('nan'::DOUBLE)", '"NaN"', "NaN"),
        ("0.1::FLOAT", "0.1", "0.1"),
        ("-0.50::DECIMAL(38, 6)", "-0.500000", "-0.500000"),
        ("12345678901234567890123456789012345678901::BIGNUM", "12345678901234567890123456789012345678901", None),
        ("union_value(n := 2)", '{"n":2}', None),
        ("MAP {DATE '2026-03-02': true}", '{"2026-03-02":true}', None),
        ("row(1, NULL, 'x')", '[1,null,"x"]', None),
        ("encode('Mü')", '"Mü"', "Mü"),
        ("'\\xFF'::BLOB", '"ff"', "\\xff"),
        ("'a'::ENUM('a', 'b')", '"a"', "a"),
        ("false", "false", "false"),
        ("''", '""', '""'),
        ("NULL::VARCHAR", "null", ""),
        ("'a, ''\"b\"'", '"a, \'\\"b\\""', '"a, \'""b"""'),
    ],
)
def test_a_value_of_any_type_is_exact(rapport, data, sql, as_json, as_csv):
    asked = ("query", f"SELECT {sql} AS v, 1 AS n;  -- done;\n", "--data", data, "--format")
    assert rapport(*asked, "json").text == f'[\n{{"v":{as_json},"n":1}}\n]\n'
    if as_csv is not None:
        assert rapport(*asked, "csv").text == f"v,n\n{as_csv},1\n"


def test_times_of_the_tables_are_utc(rapport, data):
    asked = "SELECT max(first_seen) AS at, count(*) AS n FROM (SELECT TIMESTAMP '2026-03-02' AS first_seen)"
    assert rapport("query", asked, "--data", data, "--json").json == [{"at": "2026-03-02T00:00:00Z", "n": 1}]


def test_parquet_goes_to_a_pipe(rapport, data):
    ended = rapport("query", "SELECT range AS n FROM range(25000)", "--data", data, "--format", "parquet")
    assert pq.read_table(io.BytesIO(ended.out))["n"].to_pylist() == list(range(25_000))


def test_parquet_is_read_back_with_its_types(rapport, data, tmp_path):
    values = {
        "i": ("INTERVAL '21 days 1:30'", "INTERVAL"),
        "j": ("'{\"a\":1.10}'::JSON", "JSON"),
        "h": ("sum(12345678901234567890123::HUGEINT)", "DECIMAL(38,0)"),
        "d": ("1.500000::DECIMAL(38, 6)", "DECIMAL(38,6)"),
        "z": ("TIMESTAMPTZ '2026-03-02 10:00:00+02'", "TIMESTAMP WITH TIME ZONE"),
        "u": ("union_value(n := 2)", "JSON"),
        "l": ("[170141183460469231731687303715884105::HUGEINT]", "DECIMAL(38,0)[]"),
        "b": ("'101'::BIT", "VARCHAR"),
    }
    sql = f"SELECT {', '.join(f'{value} AS {name}' for name, (value, _) in values.items())}"
    file = tmp_path / "x.parquet"
    file.write_bytes(rapport("query", sql, "--data", data, "--format", "parquet").out)
    with duckdb.connect() as connection:
        read = connection.execute(f"FROM '{file}'").description
        assert {name: str(type_) for name, type_, *_ in read} == {name: type_ for name, (_, type_) in values.items()}
        assert connection.execute(f"SELECT i::VARCHAR, h::VARCHAR, j, u FROM '{file}'").fetchall() == [
            ("21 days 01:30:00", "12345678901234567890123", '{"a":1.10}', '{"n":2}')
        ]


@pytest.mark.parametrize(
    "sql", ["INTERVAL '1 microsecond'", "INTERVAL '-1 day'", "170141183460469231731687303715884105727"]
)
def test_what_parquet_cannot_hold_is_refused(rapport, data, sql):
    ended = rapport("query", f"SELECT {sql} AS v", "--data", data, "--format", "parquet")
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, b"", 1)


def test_a_long_table_says_that_it_is_cut(rapport, data):
    ended = rapport("query", "FROM range(300)", "--data", data)
    assert len(ended.text.splitlines()) == 201
    assert "--format csv" in ended.err


@pytest.mark.parametrize("format_", sorted(FORMATS))
def test_an_empty_result_is_a_result(rapport, data, format_):
    ended = rapport("query", "SELECT 1 AS n WHERE false", "--data", data, "--format", format_)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out


def test_columns_of_one_name_are_all_there(rapport, data):
    assert rapport("query", "SELECT 1 AS n, 2 AS n", "--data", data, "--json").json == [{"n": 1, "n_1": 2}]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nothing_like_it",
        "DROP TABLE mart.dim_customer",
        "COPY (SELECT 1) TO 'x.csv'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT 1; SELECT 2",
        "ATTACH 'other.db'",
        "SELEC",
    ],
)
def test_what_is_wrong_or_not_reading_is_one_line_and_exit_1(rapport, data, sql):
    ended = rapport("query", sql, "--data", data)
    assert ended.code == 1
    assert ended.out == b""
    assert "Traceback" not in ended.err
    assert ended.err.startswith("rapport: ")


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (
            "SELECT 1,\n\t'日',\tnope\n FROM dim_customer",
            "in line 2: referenced column \"nope\" not| '日', nope|       ^^^^",
        ),
        ("\nSELEC 1", 'in line 2: syntax error at or near "SELEC"|SELEC 1|^^^^^'),
        (
            "SELECT 1\n, x::INT FROM (VALUES ('a')) AS t(x)",
            "in line 2: could not convert string 'a' to INT32|, x::INT FROM|   ^^^^^",
        ),
        ("SELECT error('a\nb')", "a b"),
        (
            "FROM read_text('/etc/passwd')",
            'in line 1: it names the file "/etc/passwd", and may read the tables only|FROM read_text|     ^^^',
        ),
    ],
)
def test_what_is_wrong_is_a_sentence_then_the_line_and_a_caret(rapport, data, sql, told):
    sentence, *place = told.split("|")
    first, *rest = rapport("query", sql, "--data", data).err.splitlines()
    assert first.startswith(f"rapport: The query failed: {sentence}")
    assert [line.removeprefix("rapport: ")[: len(shown)] for line, shown in zip(rest, place, strict=True)] == [
        shown.replace("\t", " ") for shown in place
    ]


def test_every_table_and_column_is_described(rapport, data):
    tables = rapport("query", "--tables", "--data", data, "--json").json
    names = {each["table"] for each in tables}
    wanted = (
        "fct_event dim_customer bridge_identity fct_order fct_trigger fct_rejected fct_identity_decision "
        "fct_rule_decision"
    )
    assert {f"mart.{name}" for name in wanted.split()} <= names
    for each in tables:
        if each["table"].startswith("mart."):
            assert each["comment"], each["table"]
            assert all(column["comment"] for column in each["columns"]), each["table"]
