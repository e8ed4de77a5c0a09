"""Queries: the same exact values in every form, everything described, and nothing but reading."""

from __future__ import annotations

import csv
import io

import pyarrow.parquet as pq
import pytest

from rapport.terminal.query_result import FORMATS

SQL = (
    "SELECT 'a,\"b\"' AS text, 12.50::DECIMAL(9, 2) AS money, 170141183460469231731687303715884105727::HUGEINT AS huge,"
    " TIMESTAMP '2026-03-02 10:00:00' AS at, [1, 2] AS list, MAP {'k': 0.10::DECIMAL(4, 2)} AS map, NULL AS nothing"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """An empty data folder that has been published."""
    from stream.core.plan import Plan
    from stream.embedded.engine import Engine

    folder = tmp_path_factory.mktemp("query") / "data"
    with Engine.open(folder, Plan()) as engine:
        engine.publish()
    return folder


def test_json_keeps_numbers_exact(rapport, data):
    ended = rapport("query", SQL, "--data", data, "--json")
    assert b'"money":12.50' in ended.out
    assert b'"huge":170141183460469231731687303715884105727' in ended.out
    assert b'"map":{"k":0.10}' in ended.out
    assert ended.json[0]["at"] == "2026-03-02T10:00:00"
    assert ended.json[0]["nothing"] is None


def test_csv_is_csv(rapport, data):
    rows = list(csv.reader(io.StringIO(rapport("query", SQL, "--data", data, "--format", "csv").text)))
    assert rows[0] == ["text", "money", "huge", "at", "list", "map", "nothing"]
    assert rows[1][:4] == ['a,"b"', "12.50", "170141183460469231731687303715884105727", "2026-03-02 10:00:00"]


def test_parquet_goes_to_a_pipe(rapport, data):
    ended = rapport("query", "SELECT range AS n FROM range(25000)", "--data", data, "--format", "parquet")
    assert pq.read_table(io.BytesIO(ended.out))["n"].to_pylist() == list(range(25_000))


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
    assert rapport("query", "SELECT 1 AS n, 2 AS n", "--data", data, "--json").json == [{"n": 1, "n_2": 2}]


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
