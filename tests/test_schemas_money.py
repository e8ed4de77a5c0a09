"""The one reader of amounts: what people and machines write, exactly, or not at all."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import money

SPELLINGS: list[tuple[Any, str | None, str | None]] = [
    tuple(row) for row in json.loads((Path(__file__).parent / "data" / "amounts.json").read_text())
]
"""A JSON value, the amount it states, the currency its text names. `test_sinks_orders` reads the same in SQL."""


@pytest.mark.parametrize(("value", "amount", "code"), SPELLINGS, ids=[ascii(row[0]) for row in SPELLINGS])
def test_an_amount_is_read_one_way_or_not_at_all(value: Any, amount: str | None, code: str | None) -> None:
    read = money.amount(value)
    assert (None if read is None else money.text(read)) == amount
    assert money.code(value) == code


@pytest.mark.parametrize(
    ("value", "code"), [("eur", "EUR"), (" SEK\u00a0", "SEK"), ("€", "EUR"), ("$", None), ("two words", None)]
)
def test_a_currency_is_its_code_however_it_is_padded(value: object, code: str | None) -> None:
    assert money.currency(value) == code


AMOUNTS = st.decimals(Decimal(1000), Decimal(999999999), places=2)
STYLES: dict[str, tuple[str, str]] = {
    "comma and point": (",", "."),
    "point and comma": (".", ","),
    "space and point": (" ", "."),
    "space and comma": ("\u00a0", ","),
    "narrow space": ("\u202f", ","),
    "apostrophe": ("'", "."),
    "typographer's apostrophe": ("\u2019", ","),
    "nothing and comma": ("", ","),
    "nothing and point": ("", "."),
}
AROUND = ("{}", " {}\n", "{} EUR", "EUR {}", "€{}", "{}\u00a0€", "${}", "US$ {}", "{} kr.", "chf{}")


@given(AMOUNTS, st.sampled_from(sorted(STYLES)), st.sampled_from(AROUND), st.booleans())
def test_each_style_of_writing_an_amount_reads_as_that_amount(
    amount: Decimal, style: str, around: str, negative: bool
) -> None:
    groups, point = STYLES[style]
    written = f"{amount:,.2f}".replace(",", "_").replace(".", point).replace("_", groups)
    sign = "-" if negative else ""
    assert money.amount(around.format(sign + written)) == (-amount if negative else amount)


@given(st.integers(1, 999), st.integers(0, 999))
def test_one_comma_before_three_digits_is_not_known_to_be_either(whole: int, rest: int) -> None:
    assert money.amount(f"{whole},{rest:03}") is None
    assert money.amount(f"{whole}.{rest:03}") == Decimal(f"{whole}.{rest:03}")


@given(st.text(alphabet="0123456789.,' -+$€eEUR\u00a0\n", max_size=41))
def test_what_is_read_holds_the_digits_that_were_written(written: str) -> None:
    read = money.amount(written)
    if read is not None and "e" not in written.lower().replace("eur", ""):
        digits = [each for each in written if each.isdigit()]
        shown = f"{abs(read):f}"
        if len(shown.partition(".")[2]) < 6:
            assert "".join(digits).strip("0") == shown.replace(".", "").strip("0")


@pytest.mark.parametrize(
    ("value", "says"),
    [(None, False), ("", False), (" \u00a0\n", False), (0, True), ("0", True), ("-", True), (False, True), ([], True)],
)
def test_null_and_blank_say_nothing(value: object, says: bool) -> None:
    assert money.stated(value) is says


def test_no_text_takes_long_to_read() -> None:
    started = time.perf_counter()
    for hostile in (
        " " * 39 + "x",
        "1" * 39 + "x",
        "1 " * 19 + "x",
        "1,111" * 7 + "x",
        "-" + " " * 38 + "x",
        "kr" * 20,
    ):
        for _ in range(100):
            assert money.amount(hostile) is None
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("value", "part", "whole", "costs"),
    [
        ("50", "1", "2", "25"),
        ("10", "1", "3", "3.333333"),
        ("10", "2", "3", "6.666667"),
        ("10", "3", "3", "10"),
        ("10", "-1", "3", "-3.333333"),
        ("10", "1", "0", None),
        ("10", "1", "-1", None),
        ("100000000000000", "100000000000", "1", None),
        ("99999999999999", "99999999999", "1", "9999999999899900000000001"),
    ],
)
def test_a_share_is_exact_to_the_sixth_decimal(value: str, part: str, whole: str, costs: str | None) -> None:
    found = money.share(Decimal(value), Decimal(part), Decimal(whole))
    assert found == (None if costs is None else Decimal(costs))
