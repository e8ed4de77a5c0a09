"""`rapport rules test`: the stories beside a plan's rules come true, or it is said what came instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from conftest import Ended
from rapport.demo.shop import Month
from rapport.plan import folder as plan_folder
from rapport.plan.scenarios import scenarios, tried
from rapport_shell import ROOT, SHOP, listing
from schemas.errors import PlanError

Rapport = Callable[..., Ended]

CART = """\
rule: cart
owner: ann
status: live
purpose: marketing
when:
  event: Cart Updated
  not_followed_by: {event: Order Completed, same: cart_id}
  within: 1h
  key: cart_id
then: [{send: email, template: cart}]
---
rule: hello
owner: ann
status: shadow
purpose: service
when: {event: Signed Up}
then: [{webhook: w}]
---
rule: silent
owner: ann
status: paused
purpose: service
when: {event: Signed Up}
then: [{webhook: w}]
"""
FIRED = '{rule: cart, run_key: c1, verdict: fired, at: "2026-03-02T11:00:00Z"}'
CARTED = '{at: "2026-03-02T10:00:00Z", event: Cart Updated, userId: u, properties: {cart_id: c1}}'


def story(*events: str, decisions: tuple[str, ...] = (), until: str = "2026-03-03") -> str:
    happened = "".join(f"\n  - {event}" for event in events)
    expected = "".join(f"\n    - {decision}" for decision in decisions) or " []"
    return f'scenario: a story\nevents:{happened}\nuntil: "{until}"\nexpect:\n  decisions:{expected}\n'


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    folder = tmp_path / "plan"
    for name in ("rules", "tests"):
        (folder / name).mkdir(parents=True)
    (folder / "rules" / "cart.yaml").write_text(CART)
    return folder


def outcome(plan: Path, text: str) -> tuple[list[Any], list[Any]]:
    """What was missing, and what was unexpected, in the only story."""
    (plan / "tests" / "a.yaml").write_text(text)
    loaded = plan_folder.load(plan)
    (scenario,) = scenarios(plan, loaded)
    verdict = tried(scenario, loaded)
    return list(verdict.missing), list(verdict.unexpected)


def problems(plan: Path, text: str | bytes) -> list[str]:
    (plan / "tests" / "a.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PlanError) as caught:
        scenarios(plan, plan_folder.load(plan))
    return [str(problem).removeprefix(f"{plan}/tests/") for problem in caught.value.problems]


# --- the command ----------------------------------------------------------------------------------------------------


def test_what_init_writes_comes_true(rapport: Rapport, tmp_path: Path) -> None:
    rapport("init", tmp_path / "plan")
    ended = rapport("rules", "test", tmp_path / "plan")
    assert (ended.code, ended.err) == (0, "1 test, 0 wrong.\n")
    place = f"{tmp_path}/plan/tests/cart-reminder.yaml:2"
    assert ended.text == f"ok     {place}: a cart that is left is remembered, one that is bought is not\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("run_key: c1", "run_key: c2"),
        ("verdict: shadow", "verdict: fired"),
        ("13:20:00Z", "13:20:01Z"),
        ("13:20:00Z", "16:20:00Z"),
        ("total: 49.99", "total: 50"),
        ("Order Completed, userId: ann", "Order Completed, userId: bob"),
        ('until: "2026-03-03', 'until: "2026-03-02T13:00:00Z" #'),
        ("    - {rule", "    - {rule: cart-reminder}\n    - {rule"),
        ("    - {rule.*", "    []"),
        ("expect:.*", "expect: [{at: +1m, send: sms, template: never}]"),
        ("expect:", "expects:"),
        ("until:.*", ""),
        ("event: Cart Updated", "evnt: Cart Updated"),
        ("userId: ann, ", ""),
        ("\\{at: ", "{when: "),
        ("rule: cart-reminder", "rule: cart-remainder"),
    ],
)
def test_whatever_is_false_or_wrong_in_it_is_noticed(rapport: Rapport, tmp_path: Path, old: str, new: str) -> None:
    rapport("init", tmp_path)
    path = tmp_path / "tests" / "cart-reminder.yaml"
    changed, times = re.subn(old, new, path.read_text())
    assert times
    path.write_text(changed)
    ended = rapport("rules", "test", tmp_path)
    assert ended.code == 1
    assert str(path) in ended.text + ended.err
    in_json = rapport("rules", "test", tmp_path, "--json")
    assert (in_json.code, in_json.err, in_json.json["ok"]) == (1, "", False)
    assert bool(in_json.json.get("problems")) is not any(not each["ok"] for each in in_json.json.get("tests", ()))


def test_the_difference_is_told_line_by_line(rapport: Rapport, plan: Path) -> None:
    wrong = FIRED.replace("c1", "c2")
    (plan / "tests" / "a.yaml").write_text(
        f"{story(CARTED, decisions=(wrong,))}---\n{story(CARTED, decisions=(FIRED,))}"
    )
    ended = rapport("rules", "test", plan)
    assert ended.text.splitlines() == [
        f"WRONG  {plan}/tests/a.yaml:1: a story",
        "  - expected, not decided: rule cart, run_key c2, verdict fired, at 2026-03-02T11:00:00Z",
        "  + decided, not expected: rule cart, run_key c1, verdict fired, at 2026-03-02T11:00:00Z",
        f"ok     {plan}/tests/a.yaml:9: a story",
    ]
    assert (ended.code, ended.err) == (1, "2 tests, 1 wrong.\n")
    first, second = rapport("rules", "test", plan, "--json").json["tests"]
    decided = {"rule": "cart", "run_key": "c1", "verdict": "fired", "at": "2026-03-02T11:00:00Z"}
    assert first == {
        "file": f"{plan}/tests/a.yaml",
        "line": 1,
        "scenario": "a story",
        "ok": False,
        "missing": [{**decided, "run_key": "c2"}],
        "unexpected": [decided],
    }
    assert (second["line"], second["ok"], second["missing"], second["unexpected"]) == (9, True, [], [])


def test_a_plan_without_tests_is_no_success(rapport: Rapport, plan: Path) -> None:
    ended = rapport("rules", "test", plan)
    assert (ended.code, ended.text) == (1, "")
    assert f"No tests in {plan}/tests" in ended.err
    assert rapport("rules", "test", plan, "--json").json == {"ok": False, "tests": []}


def test_a_plan_that_does_not_load_is_told_first(rapport: Rapport, plan: Path) -> None:
    (plan / "tests" / "a.yaml").write_text(story(CARTED))
    (plan / "rules" / "cart.yaml").write_text("rule: x\n")
    assert rapport("rules", "test", plan).code == 1
    assert rapport("rules", "test", plan / "nowhere").code == 1


def test_it_writes_nothing_where_it_is_run(rapport: Rapport, plan: Path, tmp_path: Path, monkeypatch) -> None:
    (plan / "tests" / "a.yaml").write_text(story(CARTED, decisions=(FIRED,)))
    place, temporary = tmp_path / "place", tmp_path / "temporary"
    place.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    before = listing(plan)
    assert rapport("rules", "test", plan).code == 0
    assert listing(plan) == before
    assert not any(place.iterdir())
    assert not any(temporary.iterdir())


def test_the_shop_and_the_page_come_true(rapport: Rapport, tmp_path: Path) -> None:
    ended = rapport("rules", "test", SHOP)
    assert ended.code == 0, ended.text
    rapport("init", tmp_path)
    page = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```yaml\n(scenario:.+?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "tests" / "cart-reminder.yaml").write_text(shown)
    ended = rapport("rules", "test", tmp_path)
    assert ended.code == 0, ended.text


# --- what a story may tell ------------------------------------------------------------------------------------------

SIGNED_UP = '{at: "2026-03-02T10:00:00Z", event: Signed Up, userId: u}'
BOUGHT = '{at: "2026-03-02T10:59:59Z", event: Order Completed, userId: u, properties: {cart_id: c1}}'
TRUE = {
    "a timer that nothing stops": ((CARTED,), (FIRED,)),
    "a timer that is stopped": ((CARTED, BOUGHT), ()),
    "too late to stop it": ((CARTED, BOUGHT.replace("10:59:59", "11:00:01")), (FIRED,)),
    "the order of the lines does not matter": ((BOUGHT, CARTED), ()),
    "it happened earlier than it came": (
        (CARTED, BOUGHT.replace('10:59:59Z"', '10:30:00Z", timestamp: "2026-03-02T10:10:00Z"')),
        (),
    ),
    "it came after the timer": (
        (CARTED, BOUGHT.replace('10:59:59Z"', '11:30:00Z", timestamp: "2026-03-02T10:10:00Z"')),
        (FIRED,),
    ),
    "another customer's order": ((CARTED, BOUGHT.replace("userId: u", "userId: v")), (FIRED,)),
    "one customer, named twice": (
        (
            CARTED.replace("userId: u", "anonymousId: a"),
            '{at: "2026-03-02T10:10:00Z", type: identify, userId: u, anonymousId: a}',
            BOUGHT,
        ),
        (),
    ),
    "a rule at once, by the id of its event": (
        (CARTED, SIGNED_UP, BOUGHT),
        ('{rule: hello, run_key: m2, verdict: shadow, at: "2026-03-02T10:00:00Z"}',),
    ),
    "an id that is stated, and the same again": (
        (SIGNED_UP.replace("userId", "messageId: x, userId"), SIGNED_UP.replace("userId", "messageId: x, userId")),
        ("{rule: hello, run_key: x}",),
    ),
    "as far as it is told": ((CARTED, SIGNED_UP), ("{rule: hello}", "{rule: cart, at: 2026-03-02T11:00:00+00:00}")),
    "the less told is not taken by the more told": (
        (CARTED, CARTED.replace("c1", "c2")),
        ("{rule: cart}", "{rule: cart, run_key: c1}"),
    ),
    "the more told first": ((CARTED, CARTED.replace("c1", "c2")), ("{rule: cart, run_key: c2}", "{rule: cart}")),
    "an event that cannot be used": (
        (CARTED.replace("cart_id: c1", "cart_id: [c1]"),),
        ('{rule: cart, run_key: m1, verdict: unusable, at: "2026-03-02T10:00:00Z"}',),
    ),
    "an old event starts nothing": (
        ('{at: "2026-03-09", timestamp: "2026-03-02", event: Signed Up, userId: u}',),
        (),
    ),
}  # fmt: skip


@pytest.mark.parametrize("told", TRUE)
def test_a_story_comes_true(plan: Path, told: str) -> None:
    events, decisions = TRUE[told]
    assert outcome(plan, story(*events, decisions=decisions, until="2026-03-10")) == ([], [])


def test_a_decision_counts_once(plan: Path) -> None:
    decided = {"rule": "cart", "run_key": "c1", "verdict": "fired", "at": "2026-03-02T11:00:00Z"}
    assert outcome(plan, story(CARTED, decisions=(FIRED, FIRED))) == ([decided], [])
    assert outcome(plan, story(CARTED, CARTED.replace("c1", "c2"), decisions=("{rule: cart}",)))[0] == []
    assert len(outcome(plan, story(CARTED, CARTED.replace("c1", "c2"), decisions=("{rule: cart}",)))[1]) == 1


def test_until_is_the_end(plan: Path) -> None:
    assert outcome(plan, story(CARTED, until="2026-03-02T10:59:59Z")) == ([], [])
    assert outcome(plan, story(CARTED, decisions=(FIRED,), until="2026-03-02T11:00:00Z")) == ([], [])


def month(seed: int) -> Iterator[dict[str, Any]]:
    """Every call of a demo's month that can be read."""
    for line in Month(seed).lines():
        with suppress(orjson.JSONDecodeError):
            yield orjson.loads(line)


def test_events_of_one_instant_come_in_the_order_of_their_story(plan: Path) -> None:
    (plan / "rules" / "any.yaml").write_text(
        "rule: any\nowner: ann\nstatus: live\npurpose: p\nthen: [{send: email, template: x}]\n"
        "when: {event: Ticket Created, not_followed_by: {event: Ticket Solved}, within: 1h}\n"
    )
    same = '{at: "2026-03-02T10:00:00Z", event: Ticket Created, userId: u, messageId: '
    told = story(same + "z}", same + "a}", decisions=("{rule: any, run_key: z, verdict: fired}",))
    assert outcome(plan, told) == ([], [])


def test_a_story_decides_what_a_replay_of_the_same_events_decides(rapport: Rapport, ndjson, tmp_path: Path) -> None:
    """The month's first days in the shop, as a story: its decisions are those of `replay --clock events`."""
    kept = ("event", "userId", "messageId", "timestamp", "properties")
    calls = [
        {name: call[name] for name in kept if name in call}
        for call in month(1)
        if call["type"] == "track"
        and call.get("timestamp", "9") < "2026-03-05"
        and call.get("userId", "guest") != "guest"
    ]
    assert len(calls) > 50
    file = ndjson("a.ndjson", *({"type": "track", **call} for call in calls))
    until = "2026-03-07T00:00:00Z"
    place = ("--data", tmp_path / "d")
    assert rapport("replay", file, "--plan", SHOP, "--clock", "events", "--until", until, *place).code == 0
    decided = rapport(
        "query", "SELECT rule, run_key, verdict, decided_at AS at FROM fct_rule_decision", "--json", *place
    ).json
    assert decided

    plan = tmp_path / "plan"
    (plan / "tests").mkdir(parents=True)
    (plan / "rules").symlink_to(SHOP / "rules")
    told = {
        "scenario": "days in a shop",
        "events": [{"at": call["timestamp"], **call} for call in calls],
        "until": until,
        "expect": {"decisions": [{**each, "at": each["at"].replace(" ", "T")} for each in decided]},
    }
    (plan / "tests" / "a.yaml").write_bytes(orjson.dumps(told))
    ended = rapport("rules", "test", plan)
    assert ended.code == 0, ended.text


# --- what is refused ------------------------------------------------------------------------------------------------

MALFORMED = {
    "": ("a.yaml: The file holds no test; write one, or remove it.",),
    "[]": ("a.yaml:1:1: a test is a list; it must be keys with values, like `name: value`.",),
    "scenario: x\n": ("`events` is missing", "`until` is missing", "`expect` is missing"),
    "x: '": ("This is not valid YAML",),
    story(CARTED).replace("expect:", "expected:"): ("`expected` is unknown in a test. Did you mean `expect`?",),
    story(CARTED).replace("decisions:", "triggers:"): ("`triggers` is unknown in expect",),
    story(CARTED).replace("expect:\n  decisions: []", "expect: []"): ("expect is a list",),
    story(CARTED).replace("decisions: []", "decisions: none"): ("decisions is `none`; it must be a list",),
    story(): ("events is empty",),
    story("[]"): ("an event is a list",),
    story("{event: Signed Up, userId: u}"): ("`at` is missing in an event",),
    story("{at: +1m, event: Signed Up, userId: u}"): ("at is `+1m`; it must be a time like",),
    story(CARTED, until="soon"): ("until is `soon`; it must be a time like",),
    story(CARTED, until="2026-03-02T09:00"): ("until is before the last event, at 2026-03-02T10:00:00Z",),
    story("{at: 2026-03-02, event: Signed Up}"): ("3:5: the event would be rejected (no_identifier)",),
    story("{at: 2026-03-02, userId: u}"): ("the event would be rejected (missing_field)",),
    story("{at: 2026-03-02, type: trak, userId: u}"): ("the event would be rejected (unknown_type)",),
    story("{at: 2026-03-02, event: x, userId: u, properties: {n: 99999999999999999999}}"): ("cannot be sent",),
    story('{at: 2026-03-02, timestamp: "2026-03-02T01:00", event: x, userId: u}'): ("occurred after it came",),
    story(CARTED, decisions=("{run_key: c1}",)): ("`rule` is missing in a decision",),
    story(CARTED, decisions=("{rule: carts}",)): ("the plan has no rule `carts`. Did you mean `cart`?",),
    story(CARTED, decisions=("{rule: cart, template: x}",)): ("`template` is unknown in a decision",),
    story(CARTED, decisions=("{rule: cart, at: later}",)): ("at is `later`; it must be a time like",),
    story(CARTED, decisions=("{rule: cart, run_key: 5}",)): ("run_key is `5`; it must be text",),
}  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED)
def test_what_cannot_be_read_as_a_test_is_told_with_its_place(plan: Path, text: str) -> None:
    found = problems(plan, text)
    for told in MALFORMED[text]:
        assert any(told in problem for problem in found), found
    assert all(re.match(r"a\.yaml(:\d+:\d+)?: ", problem) for problem in found)


def test_all_problems_of_all_tests_are_told_in_one_run(plan: Path) -> None:
    (plan / "tests" / "sub").mkdir()
    (plan / "tests" / "sub" / "b.yml").write_text("scenario: x\n")
    (plan / "tests" / ".b.yml.swp").write_text("{{{")
    found = problems(plan, story("{at: soon}", decisions=("{rule: nobody}",), until="late").encode() + b"more: 1\n")
    assert [problem.split(": ")[0] for problem in found] == [
        "a.yaml:3:10",
        "a.yaml:4:8",
        "a.yaml:7:14",
        "a.yaml:8:1",
        "sub/b.yml:1:1",
        "sub/b.yml:1:1",
        "sub/b.yml:1:1",
    ]
