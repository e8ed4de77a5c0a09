"""What a query looks like on a screen and in a pipe, as text, at 80 and at 120 columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Ended
from rapport.terminal.layout import Column, lines
from rapport_shell import ENVIRONMENT, ran

ID = "c63985cd-2584-5b8d-8c59-f7b81aa61185"
NOTE = "called twice about a parcel that had not come, then once more to say that it had"
ANN = (
    f"SELECT '{ID}' AS profile_id, 'Ann-Kathrin van der Ahrens-Müller' AS name, 1234.500000::DECIMAL(38, 6) AS revenue,"
    " 'EUR' AS currency, TIMESTAMP '2026-03-02 10:00:00' AS last_seen"
)


@pytest.fixture
def data(published: Path) -> Path:
    return published


@pytest.fixture
def whole(rapport: Callable[..., Ended], ndjson: Callable[..., Path], tmp_path: Path) -> Path:
    """Ann, with an order."""
    order = {"order_id": "o1", "total": 1000, "currency": "JPY"}
    file = ndjson("a.ndjson", {"type": "track", "userId": "ann", "event": "Order Completed", "properties": order})
    rapport("replay", file, "--data", tmp_path / "data")
    return tmp_path / "data"


def screen(columns, rows, width, wraps=True):
    return [line.text for line in lines(columns, rows, width, wraps)]


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (
            "120",
            f"""\
profile_id                            name                               revenue  currency  last_seen
{ID}  Ann-Kathrin van der Ahrens-Müller  1234.50  EUR       2026-03-02 10:00:00+00:00
""",
        ),
        (
            "80",
            f"""\
record 1
profile_id  {ID}
name        Ann-Kathrin van der Ahrens-Müller
revenue     1234.50
currency    EUR
last_seen   2026-03-02 10:00:00+00:00
""",
        ),
    ],
)
def test_rows_that_are_too_wide_stand_upright(rapport, data, monkeypatch, columns, shown):
    monkeypatch.setenv("COLUMNS", columns)
    assert rapport("query", ANN, "--data", data).text == shown


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("1234.500000", "'EUR'", "1234.50"),
        ("1000.000000", "'JPY'", "1000"),
        ("1000.500000", "'JPY'", "1000.5"),
        ("-1.250000", "'KWD'", "-1.250"),
        ("0.000001", "'EUR'", "0.000001"),
        ("7.000000", "NULL", "7.00"),
        ("NULL", "'EUR'", ""),
    ],
)
def test_an_amount_beside_its_currency_has_its_digits(rapport, data, amount, currency, shown):
    sql = f"SELECT 'x' || '|' AS id, {amount}::DECIMAL(38, 6) AS amount, {currency} AS currency, '|' AS ending"
    assert rapport("query", sql, "--data", data).text.splitlines()[1].split("|")[1].split()[:1] == (
        [shown] if shown else ["EUR"]
    )


def test_a_pipe_breaks_nothing(rapport, data, monkeypatch):
    long = "SELECT repeat('word ', 100) AS note, repeat('x', 300) AS id FROM range(2)"
    assert [len(line) for line in rapport("query", long, "--data", data).text.splitlines()] == [504, 802, 802]
    monkeypatch.setenv("COLUMNS", "80")
    upright = rapport("query", long, "--data", data).text.splitlines()
    assert [line[:9] for line in upright] == [
        "record 1",
        "note  wor",
        "id    xxx",
        "",
        "record 2",
        "note  wor",
        "id    xxx",
    ]


def test_prose_wraps_between_words_on_a_terminal_and_nothing_else_does():
    columns = [Column("user_id"), Column("note", prose=True), Column("traits", prose=True)]
    traits = '{"city":"Köln","email":"rosa.meyer77@mail.example","first_name":"Rosa","last_name":"Meyer"}'
    rows = [["u-0077", NOTE, traits]]
    wide = """\
user_id  note                                                                   traits
u-0077   called twice about a parcel that had not come, then once more to say   {"city":"Köln",
         that it had                                                            "email":"rosa.meyer77@mail.example",
                                                                                "first_name":"Rosa","last_name":"Meyer"}
"""
    narrow = """\
record 1
user_id  u-0077
note     called twice about a parcel that had not come, then once more to say
         that it had
traits   {"city":"Köln","email":"rosa.meyer77@mail.example","first_name":"Rosa",
         "last_name":"Meyer"}
"""
    assert screen(columns, rows, 120) == wide.splitlines()
    assert screen(columns, rows, 80) == narrow.splitlines()


@pytest.mark.parametrize("width", range(20, 200, 7))
def test_whatever_the_width_no_word_is_broken_or_lost(width):
    columns = [Column("id"), Column("n", right=True), Column("note", prose=True), Column("name", prose=True)]
    rows = [[ID, "12", NOTE, "日本 太郎"], ["", "-3.50", "", "Ann"]]
    shown = screen(columns, rows, width)
    for word in (ID, "12", "-3.50", "日本 太郎", *NOTE.split()):
        assert any(word in line for line in shown), word
    assert max(map(len, shown)) <= max(width, len(ID) + 6)


def test_no_colours_in_a_pipe_whatever_the_environment_says(whole):
    environment = {**ENVIRONMENT, "FORCE_COLOR": "1", "COLUMNS": "80"}
    for arguments in (
        ("query", "FROM dim_customer"),
        ("query", "--tables", "dim_customer"),
        ("profile", "user_id:ann"),
    ):
        assert "\x1b" not in ran(*arguments, "--data", whole, env=environment).out


def test_a_table_is_described_by_its_name(rapport, data):
    for name in ("fct_order", "mart.fct_order", "FCT_ORDER"):
        (table,) = rapport("query", "--tables", name, "--data", data, "--json").json
        assert table["table"] == "mart.fct_order"
    described = rapport("query", "--tables", "fct_order", "--data", data).text.splitlines()
    assert described[0].startswith("mart.fct_order  ")
    assert described[2].split()[:2] == ["order_id", "VARCHAR"]
    missing = rapport("query", "--tables", "fct_ordr", "--data", data)
    assert (missing.code, missing.err) == (1, "rapport: There is no table 'fct_ordr': did you mean mart.fct_order?\n")


def test_sql_comes_from_a_file_or_from_standard_input(rapport, data, tmp_path, monkeypatch):
    file = tmp_path / "a.sql"
    file.write_bytes("\ufeffSELECT 'Köln' AS city -- where\n;\n".encode())
    assert rapport("query", "--file", file, "--data", data, "--json").json == [{"city": "Köln"}]
    for arguments in (("-",), ("-f", "-")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
        assert rapport("query", *arguments, "--data", data, "--json").json == [{"city": "Köln"}]
    file.write_bytes("SELECT 'Köln'".encode("utf-16"))
    for arguments, code, told in (
        (("-f", file), 1, "UTF-8"),
        (("-f", tmp_path / "none"), 1, "No such file"),
        (("-f", tmp_path), 1, "Is a directory"),
        (("SELECT 1", "-f", file), 2, "write one query"),
        (("--tables", "-f", file), 2, "write one query"),
    ):
        ended = rapport("query", *arguments, "--data", data)
        assert (ended.code, ended.err.count("\n")) == (code, 1)
        assert told in ended.err


def test_no_text_of_a_customer_is_a_formula_in_a_spreadsheet(rapport, data):
    texts = ("=1+1", "+49", "-5", "@x", "\t=1", "\r=1", "\uff1d1", "a=1", "", " =1", '=HYPERLINK("x","y")')
    values = ", ".join(f"('{text}', -5, -0.5::DECIMAL(4, 2), -1.5::DOUBLE, NULL)" for text in texts)
    sql = f'FROM (VALUES {values}) AS t("=a", b, c, d, e)'
    out = rapport("query", sql, "--data", data, "--format", "csv", "--safe").text
    rows = list(csv.reader(io.StringIO(out, newline="")))
    assert rows[0] == ["'=a", "b", "c", "d", "e"]
    safe = [text if text[:1] in ("a", " ", "") else f"'{text}" for text in texts]
    assert rows[1:] == [[text, "-5", "-0.50", "-1.5", ""] for text in safe]
    refused = rapport("query", sql, "--data", data, "--safe")
    assert (refused.code, "--format csv" in refused.err) == (2, True)
