"""The SQL folder: what each file declares is what its SQL reads, and the order follows from that alone."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from sinks.marts import publisher
from sinks.marts.models import Model, functions, in_order, model, models, scripts

NEWCOMER = """-- Purpose: mart.fct_new: an example.
-- Needs: mart.dim_customer, raw.facts

CREATE VIEW mart.fct_new AS
WITH seen AS (SELECT profile_id FROM mart.dim_customer)

SELECT * FROM seen WHERE profile_id IN (SELECT message_id FROM raw.facts);

COMMENT ON VIEW mart.fct_new IS 'An example';
"""


def reads(sql: str) -> tuple[str, ...]:
    """The tables that a model's query names, by DuckDB's own parser: not those that the query itself makes."""
    with duckdb.connect() as connection:
        queries = [re.split(r"\bAS\n", each.query, maxsplit=1) for each in connection.extract_statements(sql)]
        queries = [each for each in queries if not each[0].lstrip().startswith("COMMENT")]
        trees = [connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0] for _, query in queries]
    found, own = set(), set()
    for tree in trees:
        for node in nodes(orjson.loads(tree)):
            assert not node.get("error"), node
            if node.get("type") == "BASE_TABLE":
                found.add(".".join(filter(None, (node["schema_name"], node["table_name"]))))
            own |= {each["key"] for each in node.get("cte_map", {}).get("map", ())}
    return tuple(sorted(found - own))


def nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in a JSON value."""
    if isinstance(value, dict):
        yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in children:
        yield from nodes(each)


def a_model(name: str, *needs: str) -> Model:
    return Model(name, needs, "")


@pytest.mark.parametrize("each", [*models(), model("fct_new", NEWCOMER)], ids=lambda each: each.name)
def test_a_model_declares_exactly_what_its_sql_reads(each):
    assert each.needs == reads(each.sql)


def test_every_file_is_used_says_its_purpose_and_has_short_lines():
    assert len(scripts()) == len([*(Path(publisher.__file__).parents[1] / "sql").rglob("*.sql")])
    for script in scripts():
        assert script.startswith("-- Purpose: ")
        assert max(map(len, script.splitlines())) <= 120


def test_files_of_functions_read_no_table():
    made = [re.findall(r"^(CREATE|COMMENT)\b.*?\b(MACRO|TABLE|VIEW)\b", each, re.MULTILINE) for each in functions()]
    assert {kind for file in made for kind in file} == {("CREATE", "MACRO")}
    assert not [file for file in functions() if re.search(r"\b(raw|mart)\.(?!\w+\()", file)]


def test_the_order_follows_the_needs_and_nothing_else():
    found = models()
    ordered = in_order(found)
    made: set[str] = set()
    for each in ordered:
        assert made.issuperset(each.needs)
        made.add(each.name)
    for seed in range(20):
        random.Random(seed).shuffle(found)
        assert in_order(found) == ordered, seed


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([a_model("a", "b"), a_model("b", "a")], "models need each other in a circle: a -> b -> a"),
        ([a_model("a", "a")], "models need each other in a circle: a -> a"),
        ([a_model("mart.a", "raw.b")], "mart.a needs raw.b, which no file makes"),
        ([a_model("a"), a_model("a")], "two files make a: a model has one file"),
    ],
)
def test_models_that_cannot_be_ordered_are_refused_in_one_sentence(given, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        in_order(given)


@pytest.mark.parametrize(
    ("sql", "made"),
    [
        ("CREATE TABLE mart.fct_other AS\nSELECT 1;", "mart.fct_other"),
        ("CREATE TABLE mart.fct_new AS\nSELECT 1;\nCREATE TEMP TABLE step AS\nSELECT 1;", "mart.fct_new and step"),
        ("CREATE TABLE mart.fct_new AS\nSELECT 1;\nCOMMENT ON TABLE raw.facts IS '';", "mart.fct_new and raw.facts"),
        ("SELECT 1;", "nothing"),
    ],
)
def test_a_file_makes_the_one_model_that_it_is_named_after(sql, made):
    with pytest.raises(ValueError, match=f"^fct_new.sql makes {made}: it must make one table or view, fct_new$"):
        model("fct_new", sql)
