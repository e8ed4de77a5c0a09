"""Rules that can never fire are refused: bounds that only look like numbers, and conditions that exclude each other."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.conditions.contradictions import contradiction
from rules.conditions.lookalikes import looks_like
from rules.conditions.operators import OPERATORS, compiled
from rules.language.model import Compare, Condition, Group
from rules.language.model import Path as Field
from rules.load import load_rules
from schemas.errors import PlanError

RULE = """\
rule: r
owner: ann
status: live
purpose: service
when:
  event: Order Completed
  {when}
then: [{{webhook: w}}]
"""
AWAITED = "not_followed_by: {{event: Order Refunded, where: {where}}}\n  within: 1h"


def problems(when: str) -> list[str]:
    """What is wrong with a rule, without the place that is the same for all."""
    try:
        load_rules({"r.yaml": RULE.format(when=when)})
    except PlanError as error:
        return [str(problem).removeprefix("r.yaml:") for problem in error.problems]
    return []


# --- numbers that are text ------------------------------------------------------------------------------------------

LOOKALIKES = {
    "1_000": "1000",
    "1_000.50": "1000.50",
    "-1_000": "-1000",
    "1,000": "1000",
    "1,234.56": "1234.56",
    "1.234,56": "1234.56",
    "1.234.567": "1234567",
    "19,99": "19.99",
    "1 000": "1000",
    "1\N{NO-BREAK SPACE}000": "1000",
    "1'000": "1000",
    "1\N{RIGHT SINGLE QUOTATION MARK}000": "1000",
    "1,00,000": "100000",
    "$1000": "1000",
    "-$5": "-5",
    "US$1000": "1000",
    "€ 1.000,50": "1000.50",
    "1000€": "1000",
    "1000 EUR": "1000",
    "EUR 1000": "1000",
    "kr 100": "100",
    "1000,-": "1000",
    "15%": "15",
    "10 %": "10",
    "12,5%": "12.5",
    "1k": "1000",
    "1.5K": "1500",
    "2 Mio.": "2000000",
    "3bn": "3000000000",
    "7d": "7",
    "2 days": "2",
    "10kg": "10",
    "2XL": "2",
    "1000+": "1000",
    ">=1000": "1000",
    "\N{FULLWIDTH DIGIT ONE}\N{FULLWIDTH DIGIT ZERO}": "10",
    "\N{ARABIC-INDIC DIGIT THREE}\N{ARABIC-INDIC DIGIT ZERO}": "30",
    "\N{MINUS SIGN}5": "-5",
    " 50": "50",
    "16:40": "",
    "1:30": "",
    "10-20": "",
    "1/2": "",
    "inf": "",
    "NaN": "",
    "2026-3-1": "",
    "01.03.2026": "",
    "03/01/2026": "",
    ">=2026-03-01": "2026-03-01",
}
"""What looks like a number -> what to write instead, where that can be told."""

TEXTS = (
    "2026-03-01",
    "2026-03",
    "2026-03-01T10:00:00Z",
    "2026-W10",
    "2026-Q1",
    "2.10.1",
    "1.2.3-rc1",
    "2.10-beta",
    "10.0.0.1",
    "v2",
    "A4",
    "P2",
    "EUR",
    "b",
    "Gold",
    "ten",
)
"""What is compared as text by intent."""

BOUNDS = ("at_least", "at_most", "above", "below")


@pytest.mark.parametrize("operator", BOUNDS)
@pytest.mark.parametrize("text", LOOKALIKES)
def test_a_bound_that_looks_like_a_number_is_refused_with_the_number(operator: str, text: str) -> None:
    (problem,) = problems(
        f'where: {{total: {{{operator}: "{text}"}}}}'
        if text != "16:40"
        else f"where: {{total: {{{operator}: {text}}}}}"
    )
    assert problem.startswith(f"7:{21 + len(operator)}: rule `r`: {operator} of `total` is the text ")
    assert "number" in problem
    assert f"; write {LOOKALIKES[text]}" in problem


@pytest.mark.parametrize("operator", BOUNDS)
@pytest.mark.parametrize("text", TEXTS)
def test_a_bound_that_is_text_is_compared_as_text(operator: str, text: str) -> None:
    assert problems(f"where: {{x: {{{operator}: {text}}}}}") == []
    assert problems(f'where: {{x: {{{operator}: "{text}"}}}}') == []


def test_a_bound_is_not_blank() -> None:
    assert problems('where: {x: {at_least: " "}}') == ["7:25: rule `r`: at_least of `x` is blank; fill it."]
    assert problems('where: {x: ""}') == []


def test_a_time_of_day_is_a_text_in_quotes() -> None:
    assert problems('where: {at: {at_least: "09:30", below: "17:00:30"}}') == []
    (problem,) = problems("where: {at: {at_least: 09:30}}")
    assert problem.endswith('write a number, or "09:30" in quotes for a time of day.')
    assert problems('where: {at: {at_least: "24:30"}}')


@pytest.mark.parametrize(
    "where",
    [
        "{any: [{x: 1}, {total: {at_least: 1_000}}]}",
        "{none: [{total: {at_least: 1_000}}]}",
        "{all: [{any: [{none: [{total: {above: 15%}}]}]}]}",
        "{total: {at_least: 1,000}}",
        "{total: {at_least: 1,500}}",
        "{total: {at_least: 5, at_most: 1,500.75}}",
        "{total: 1,500}",
        "{total: {above: 2,5 Mio}}",
        "{total: {above: 12,5%}}",
        "{context.value: {below: 1k}}",
    ],
)
@pytest.mark.parametrize("place", ["where: {where}", AWAITED])
def test_they_are_found_wherever_a_condition_may_stand(where: str, place: str) -> None:
    assert any("number" in problem for problem in problems(place.format(where=where)))


def test_a_comma_within_braces_is_told_with_the_number() -> None:
    (problem,) = problems("where: {total: {at_least: 1,500}}")
    assert problem == "7:31: rule `r`: `1,500` is no number: within { } a comma begins the next entry; write 1500."


def test_equal_values_need_quotes_where_only_a_number_can_be_meant() -> None:
    for condition in ("1_000", "{equals: $1000}", "[5, 1_000]", "{is_not: 1 000}", "{contains: 1'000}"):
        (problem,) = problems(f"where: {{sku: {condition}}}")
        assert problem.endswith(", or put quotes around it if text is meant."), condition
    for condition in ('"1_000"', "15%", "2XL", "16:40", "2026-3-1", '["1_000"]', "{starts_with: 1_000}"):
        assert problems(f"where: {{sku: {condition}}}") == [], condition


@given(st.integers(-(10**12), 10**12), st.sampled_from(["{:_}", "{:,}", "{}%", "{}k", "${}", "{} EUR", "~{}"]))
def test_however_a_number_is_dressed_it_is_seen(number: int, dress: str) -> None:
    assert looks_like(dress.format(number), quoted=False)


@given(st.dates().filter(lambda day: day.year >= 1000), st.booleans())
def test_no_date_is_taken_for_a_number(day: Any, quoted: bool) -> None:
    assert looks_like(day.isoformat(), quoted) is None


# --- conditions that exclude each other -----------------------------------------------------------------------------

NEVER = """\
{x: {at_least: 1000, at_most: 100}}
{x: {above: 5, below: 5}}
{x: {above: 5, at_most: 5}}
{x: {at_least: 5, below: 5}}
{x: {at_least: 50, equals: 10}}
{x: {below: 50, equals: 50}}
{x: {at_least: 50, one_of: [1, 2]}}
{x: {one_of: [1, 2], is_not: 3, above: 2}}
{x: {equals: 5, is_not: 5}}
{x: {equals: a, one_of: [b, c]}}
{x: {equals: "5", at_most: 4}}
{x: {equals: true, at_least: 1}}
{x: {equals: true, is_not: true}}
{x: {exists: false, equals: 5}}
{x: {exists: false, at_least: 5}}
{x: {exists: false, one_of: [5]}}
{x: {exists: false, contains: a}}
{x: {exists: false, starts_with: a}}
{x: {starts_with: a, equals: b}}
{x: {starts_with: a, one_of: [b, c]}}
{x: {starts_with: a, at_least: b}}
{x: {starts_with: b, at_most: a}}
{x: {starts_with: b, below: b}}
{x: {starts_with: a, equals: 5}}
{x: {contains: z, equals: abc}}
{x: {at_least: 2026-03-01, below: 2026-02-01}}
{x: {at_least: a, at_most: a, is_not: a}}
{x: 5, all: [{x: 6}]}
{all: [{x: {at_least: 5}}, {all: [{x: {below: 5}}]}]}
{x: {at_least: 50}, none: [{x: {at_least: 10}}]}
{x: {starts_with: ab}, none: [{x: {starts_with: a}}]}
{x: {contains: 5}, none: [{x: {contains: 5}}]}
{x: {at_least: ab, at_most: ac}, none: [{x: {starts_with: a}}]}
{none: [{x: {exists: true}}, {x: {exists: false}}]}
{none: [{none: [{x: {at_least: 5, below: 5}}]}]}
{any: [{x: {at_least: 5, below: 5}}, {y: {exists: false, equals: 1}}]}
{x: 3, any: [{x: 1}, {x: 2}]}
{properties.x: {at_least: 10}, x: {below: 3}}
{x: gold, x.y: 5}
{x.y.z: {exists: true}, x.y: {above: 1}}
{context.page: home, context.page.path: /}
{traits.x: 5, all: [{traits.x: 6}]}
""".splitlines()

POSSIBLE = """\
{x: {at_least: 5, at_most: 5}}
{x: {above: 1, below: 2}}
{x: {above: 9007199254740992, below: 9007199254740994}}
{x: {at_least: 50, one_of: [1, 60]}}
{x: {at_least: 50, is_not: 50}}
{x: {exists: false, is_not: 5}}
{x: {exists: true, is_not: 5}}
{x: {exists: false}, none: [{x: 5}]}
{x: {starts_with: b, at_least: a}}
{x: {starts_with: a, at_least: ab, below: b}}
{x: {starts_with: "1", at_least: 10}}
{x: {starts_with: "$", above: 5}}
{x: {at_least: b, at_most: 100}}
{x: {contains: "5", at_most: 100}}
{x: {contains: 5, is_not: a}}
{x: {contains: a, starts_with: b}}
{x: {contains: a}, all: [{x: {contains: 5}}]}
{x: {contains: abc}, none: [{x: {contains: b}}]}
{x: {at_least: 2026-03-01, below: 2026-03-02}}
{x: {at_least: 2026-03-01, at_most: 100}}
{any: [{x: {at_least: 5, below: 5}}, {y: true}]}
{none: [{x: {at_least: 5, below: 5}}]}
{none: [{x: {exists: false, equals: 5}}, {y: 1}]}
{none: [{any: [{x: 1}, {x: 2}]}], x: 3}
{x.y: {is_not: 3}, x: gold}
{x.y: {exists: false}, x: gold}
{x.y: {exists: true}, x: {exists: true}}
{context.x: 5, x: 6}
{traits.x: a, traits.x.y: b}
""".splitlines()


@pytest.mark.parametrize("where", NEVER)
@pytest.mark.parametrize("place", ["where: {where}", AWAITED])
def test_what_no_event_can_meet_is_refused(where: str, place: str) -> None:
    (problem,) = problems(place.format(where=where))
    assert "where never holds: `" in problem
    assert problem.endswith("at once; change one of them.")


@pytest.mark.parametrize("where", POSSIBLE)
@pytest.mark.parametrize("place", ["where: {where}", AWAITED])
def test_what_some_event_can_meet_is_not(where: str, place: str) -> None:
    assert problems(place.format(where=where)) == []


def test_the_two_that_exclude_each_other_are_told_at_the_second() -> None:
    told = "rule `r`: where never holds: `x` cannot be"
    assert problems("where: {y: 1, x: {at_least: 1000, is_not: 7, at_most: 100}}") == [
        f"7:57: {told} `at_least: 1000` and `at_most: 100` at once; change one of them."
    ]
    assert problems("where: {none: [{x: {at_least: 10}}], x: {above: 10}}") == [
        f"7:51: {told} `not at_least: 10` and `above: 10` at once; change one of them."
    ]


@pytest.mark.parametrize(
    "when",
    [
        "where: {id: {exists: false}}\n  key: id",
        "where: {id: {exists: false}}\n  not_followed_by: {event: A, same: id}\n  within: 1h",
        "not_followed_by: {event: A, same: id, where: {id: {exists: false}}}\n  within: 1h",
        "not_followed_by: {event: A, where: {none: [{id: {exists: true}}]}}\n  same: id\n  within: 1h",
        "where: {id: gold}\n  key: id.of",
    ],
)
def test_a_key_that_the_conditions_exclude_is_refused(when: str) -> None:
    (problem,) = problems(when)
    assert "takes only events without one" in problem


def test_of_very_many_conditions_on_a_field_the_two_are_found_at_once() -> None:
    others = ", ".join(f"{{x: {{is_not: {number}}}}}" for number in range(2_000))
    (problem,) = problems(f"where: {{all: [{{x: {{above: 7}}}}, {others}, {{x: {{below: 7}}}}, {others}]}}")
    assert "`x` cannot be `above: 7` and `below: 7` at once" in problem
    three = problems("where: {x: {one_of: [1, 2]}, all: [{x: {is_not: 1}}, {x: {is_not: 2}}, {x: {is_not: 3}}]}")
    assert [each.split("be ")[1] for each in three] == [
        "`one_of: [1, 2]` and `is_not: 1` and `is_not: 2` at once; change one of them."
    ]


def test_a_condition_with_very_many_alternatives_is_taken_to_be_possible() -> None:
    either = "{any: [{x: 1}, {x: 2}, {x: 3}, {x: 4}]}"
    assert problems(f"where: {{all: [{', '.join([either] * 12)}, {{x: 9}}]}}") == []


FIELDS = st.sampled_from([Field("properties", ("a",)), Field("properties", ("a", "b")), Field("context", ("a",))])
SCALARS = st.sampled_from([0, 1, 1.5, 5, -2, "a", "ab", "b", "5", "1.5", "", "2026-03-01", True, False])
COMPARES = st.one_of(
    st.builds(Compare, FIELDS, st.sampled_from(["equals", "is_not", "contains"]), SCALARS),
    st.builds(Compare, FIELDS, st.just("one_of"), st.lists(SCALARS, min_size=1, max_size=3).map(tuple)),
    st.builds(Compare, FIELDS, st.sampled_from(BOUNDS), SCALARS.filter(lambda value: not isinstance(value, bool))),
    st.builds(Compare, FIELDS, st.just("exists"), st.booleans()),
    st.builds(Compare, FIELDS, st.just("starts_with"), st.sampled_from(["a", "ab", "b", "5", "2026"])),
)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    COMPARES,
    lambda inner: st.builds(
        Group, st.sampled_from(["all", "any", "none"]), st.lists(inner, min_size=1, max_size=4).map(tuple)
    ),
    max_leaves=8,
)
VALUES = SCALARS | st.sampled_from(
    [None, 2, 3, 100, "abc", "aa", "6", "-3", "+7", "1e3", "$5", "EUR 5", "1,5", "2026-05-05", [], [5, "a"], ["ab"], {}]
)
EVENTS = st.fixed_dictionaries({}, optional={"a": VALUES | st.fixed_dictionaries({"b": VALUES})})


@given(CONDITIONS, st.lists(EVENTS, min_size=20, max_size=20), EVENTS)
def test_no_event_meets_what_is_called_a_contradiction(condition: Condition, events: list[Any], context: Any) -> None:
    if contradiction(condition):
        matches = compiled(condition)
        for own in events:
            assert not matches((own, {"context": context}))


X = Field("properties", ("x",))
ASKED: list[Any] = [0, 1.5, 5, "", "a", "ab", "b", "5", "1.5", True]
ANSWERS: list[Any] = [
    *(None, True, False, {"x": 1}, "2", "c", "ac", *range(-2, 8), 0.5, 1.5, 1.7),
    *("".join(letters) for length in range(5) for letters in product("ab15.+-", repeat=length)),
    *(one + other for one, other in product(("a", "ab", "b", "5"), ("a", "ab", "b", "5", "1.5"))),
    *([one, other] for one, other in product(ASKED, ASKED)),
]
OPERANDS: dict[str, list[Any]] = {
    **dict.fromkeys(OPERATORS, ASKED),
    **{operator: [each for each in ASKED if each is not True] for operator in BOUNDS},
    "exists": [True, False],
    "starts_with": ["a", "ab", "b", "5"],
    "one_of": [(each,) for each in ASKED],
}
COMPARISONS = [Compare(X, operator, operand) for operator, operands in OPERANDS.items() for operand in operands]


def test_two_comparisons_that_no_value_meets_are_called_so() -> None:
    """Every pair of comparisons of one field, the first also negated: some value meets both, or they never hold.
    Left out is a bound that is a number beside what a text must be like: how numbers are written is not looked at."""
    everything = frozenset(range(len(ANSWERS)))
    met = [frozenset(place for place in everything if _meets(each, ANSWERS[place])) for each in COMPARISONS]
    for (first, by_first), (second, by_second) in product(zip(COMPARISONS, met, strict=True), repeat=2):
        if sorted((_kind(first), _kind(second))) == ["number", "text"]:
            continue
        assert bool(contradiction(Group("all", (first, second)))) is not bool(by_first & by_second), (first, second)
        negated = contradiction(Group("all", (Group("none", (first,)), second)))
        assert bool(negated) is not bool(by_second - by_first), ("none of", first, second)


def _kind(compare: Compare) -> str:
    if compare.operator in BOUNDS:
        return "text" if isinstance(compare.operand, str) else "number"
    return "text" if compare.operator in ("contains", "starts_with") else ""


def _meets(compare: Compare, value: Any) -> bool:
    return compiled(compare)(({"x": value}, {}))
