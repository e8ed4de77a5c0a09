"""Windows as a function of history: which runs are open or were due.

A story: `a1` arms at hour 1, `c` closes, `r` restarts; `a1:k/s` gives the key k and the same value s.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.evaluator import RuleSet
from rules.load import load_rules
from rules.patterns.absence import Entry
from schemas import instant

ROLES = {"a": 0, "c": 1, "r": 2}
HEAD = "rule: w\nowner: x\nstatus: live\npurpose: p\nthen: [{send: email, template: x}]\n"
PLAIN = "{event: A, not_followed_by: {event: B}, within: 3h}"
RESTART = "{event: A, not_followed_by: {event: B}, within: 3h, restart_on: R}"
REARM = "{event: A, not_followed_by: {event: B}, within: 3h, restart_on: A}"
KEYED = "{event: A, not_followed_by: {event: B}, within: 3h, restart_on: A, key: k}"
KEY_AND_SAME = "{event: A, not_followed_by: {event: B}, within: 3h, restart_on: A, key: k, same: s}"
KEY_IS_SAME = "{event: A, not_followed_by: {event: B}, within: 3h, restart_on: A, key: k, same: k}"
ITSELF = "{event: A, not_followed_by: {event: A}, within: 3h}"
SAME = "{event: A, not_followed_by: {event: B}, within: 3h, same: s}"


def rules_of(when: str) -> RuleSet:
    return load_rules({"a.yaml": f"{HEAD}when: {when}\n"})


def history(rules: RuleSet, story: str) -> list[Entry]:
    """`a1:k/s+c1` are two signals of one event."""
    entries: list[Entry] = []
    for number, word in enumerate(story.split()):
        signals: list[list[str | int]] = []
        hour = 0.0
        for part in word.split("+"):
            match = re.fullmatch(r"([acr])([0-9.]+)(?::([^/]*)(?:/(.*))?)?", part)
            assert match, part
            hour = float(match[2])
            signals.append([rules.rules[0].wait, ROLES[match[1]], match[3] or "", match[4] or ""])
        entries.append((int(hour * instant.HOUR), 0, f"m{number}", signals))
    return entries


def runs(when: str, story: str) -> list[str]:
    """Each run as `run_key due`, in hours."""
    rules = rules_of(when)
    found = rules.open_runs(history(rules, story), {})
    assert all(run.rule is rules.rules[0] for run in found)
    return [f"{run.run_key} {run.due / instant.HOUR:g}" for run in found]


@pytest.mark.parametrize(
    ("when", "story", "expected"),
    [
        # one group for the whole profile
        (PLAIN, "", []),
        (PLAIN, "c1 r2", []),
        (PLAIN, "a1", ["m0 4"]),
        (PLAIN, "a1 c2", []),
        (PLAIN, "c0.5 a1", ["m1 4"]),
        (PLAIN, "a1 c3.9", []),
        (PLAIN, "a1 c4", []),
        (PLAIN, "a1 c4.1", ["m0 4"]),
        (PLAIN, "a1 a2 a3", ["m0 4"]),
        (PLAIN, "a1 a4", ["m0 4", "m1 7"]),
        (PLAIN, "a1 a5", ["m0 4", "m1 8"]),
        (PLAIN, "a1 a5 c6", ["m0 4"]),
        (PLAIN, "a1 c2 a3", ["m2 6"]),
        (PLAIN, "a1 c2 a3 c4", []),
        # where one name does both, an event closes the old window and arms a new one, never closes its own
        (ITSELF, "c1+a1", ["m0 4"]),
        (ITSELF, "a1+c1", ["m0 4"]),
        (ITSELF, "a1 c2+a2", ["m1 5"]),
        (ITSELF, "a1+c1 a1+c1", ["m1 4"]),
        (ITSELF, "a1 c4+a4", ["m1 7"]),
        # at one instant: what arms, what restarts, what closes, whatever their ids
        (PLAIN, "a1 c1", []),
        (PLAIN, "c1 a1", []),
        (PLAIN, "c1 a1 a2", ["m2 5"]),
        (PLAIN, "a1 c2 a2", []),
        (PLAIN, "c2 a2 a1", []),
        (RESTART, "r1 a1", ["m1 4"]),
        (RESTART, "r2 a1 a2", ["m1 5"]),
        (RESTART, "c2 r2 a1", []),
        (KEYED, "c1 a1:x a1:y", []),
        (SAME, "c1:/s a1:/s a1:/t", ["m2 4"]),
        # at the due instant the event wins
        (PLAIN, "a1 a4 c4", []),
        (PLAIN, "c4 a4 a1", []),
        (SAME, "a1:/s a1:/t c4:/s", ["m1 4"]),
        # a restart moves due and leaves the run its event
        (RESTART, "a1 r2", ["m0 5"]),
        (RESTART, "a1 r2 r4 r6", ["m0 9"]),
        (RESTART, "a1 r3.9", ["m0 6.9"]),
        (RESTART, "a1 r4", ["m0 7"]),
        (RESTART, "a1 r5", ["m0 4"]),
        (RESTART, "r1 a2", ["m1 5"]),
        (RESTART, "a1 r3 c5", []),
        (RESTART, "a1 a2", ["m0 4"]),
        # restarted by what arms it, the newest one is the run's event
        (REARM, "a1 a2 a3", ["m0 6"]),
        (REARM, "a1 r2", ["m0 5"]),
        (REARM, "a1 a3 c5", []),
        (REARM, "a1 a3.5 a7", ["m0 6.5", "m2 10"]),
        # one run per key
        (KEYED, "a1:x a2:y", ["x 4", "y 5"]),
        (KEYED, "a1:x a2:x a2:y", ["x 5", "y 5"]),
        (KEYED, "a1:x a2:y c3", []),
        (KEYED, "a1:x a9:x", ["x 4"]),
        (KEYED, "a1:x c2 a9:x", ["x 12"]),
        (KEYED, "a1:x r2:y", ["x 4"]),
        (KEYED, "a1:x r2:x", ["x 5"]),
        # an event closes the runs of its own `same` value, whatever their key
        (KEY_AND_SAME, "a1:x/s a2:y/s a2:z/t c3:/s", ["z 5"]),
        (KEY_AND_SAME, "a1:x/s a2:x/t c3:/s", ["x 5"]),
        (KEY_AND_SAME, "a1:x/s a2:x/t c3:/t", []),
        (KEY_IS_SAME, "a1:x/x a2:y/y c3:/x", ["y 5"]),
        (KEY_IS_SAME, "a1:x/x c2:/y", ["x 4"]),
        # without a key the `same` value groups, and runs go by their event
        (SAME, "a1:/s a2:/t a3:/s", ["m0 4", "m1 5"]),
        (SAME, "a1:/s a2:/t c3:/s", ["m1 5"]),
    ],
)
def test_stories(when: str, story: str, expected: list[str]) -> None:
    assert runs(when, story) == expected


def test_a_run_tells_when_and_by_what_it_was_opened() -> None:
    rules = rules_of(REARM)
    (run,) = rules.open_runs(history(rules, "a1 a2 r3"), {})
    assert (run.armed_at, run.message_id, run.due) == (2 * instant.HOUR, "m1", 6 * instant.HOUR)
    assert run.needs == ("m0", "m1", "m2")


def test_at_one_instant_the_sequence_decides_before_the_message_id() -> None:
    rules = rules_of(PLAIN)
    wait = rules.rules[0].wait
    entries: list[Entry] = [(5, 2, "a", [[wait, 0, "", ""]]), (5, 1, "z", [[wait, 0, "", ""]])]
    (run,) = rules.open_runs(entries, {})
    assert run.message_id == "z"


def test_what_was_taken_before_the_rule_was_in_the_plan_opens_runs_apart() -> None:
    rules = rules_of(KEYED)
    wait = rules.rules[0].wait

    def armed(at: int, key: str, taken: int) -> Entry:
        return at, 0, f"m{at}", [[wait, 0, key, "", taken]]

    entries = [armed(1, "x", 10), armed(2, "y", 10), armed(3, "x", 20)]
    assert [(run.run_key, run.before_active) for run in rules.open_runs(entries, {"w": 0})] == [
        ("y", False),
        ("x", False),
    ]
    assert [(run.run_key, run.message_id, run.before_active) for run in rules.open_runs(entries, {"w": 15})] == [
        ("y", "m2", True),
        ("x", "m3", False),
    ]
    closing: Entry = (4, 0, "c", [[wait, 1, "", ""]])
    assert rules.open_runs([*entries, closing], {"w": 15}) == []


@pytest.mark.parametrize("status", ["live", "shadow", "paused"])
def test_who_waits_goes_on_waiting_whatever_else_changes_in_the_rule(status: str) -> None:
    before = rules_of(KEYED)
    changed = HEAD.replace("status: live", f"status: {status}").replace("template: x", "template: y")
    after = load_rules({"a.yaml": f"{changed.replace('purpose: p', 'purpose: q')}when: {KEYED}\n"})
    entries = history(before, "a1:x a2:y c3")
    assert [run.run_key for run in after.open_runs(entries[:2], {})] == ["x", "y"]
    assert after.open_runs(entries, {}) == []
    draft = load_rules({"a.yaml": f"{HEAD.replace('status: live', 'status: draft')}when: {KEYED}\n"})
    assert draft.open_runs(entries[:2], {}) == []


def test_signals_that_0_1_0_stored_are_read() -> None:
    rules = rules_of(PLAIN)
    assert [run.message_id for run in rules.open_runs([(1, 0, "m", [[rules.rules[0].version, 0, "", ""]])], {})] == [
        "m"
    ]


def test_signals_of_other_versions_and_rules_mean_nothing() -> None:
    before, after = rules_of(PLAIN), rules_of(RESTART)
    entries = history(before, "a1")
    assert before.open_runs(entries, {})
    assert after.open_runs(entries, {}) == []
    (wait,) = (rule.wait for rule in rules_of("{event: A}").rules)
    assert rules_of("{event: A}").open_runs([(1, 0, "m", [[wait, 0, "", ""]])], {}) == []


def test_rules_do_not_disturb_each_other() -> None:
    texts = {f"{name}.yaml": f"{HEAD.replace('rule: w', f'rule: {name}')}when: {PLAIN}\n" for name in ("one", "two")}
    rules = load_rules(texts)
    one, two = (rule.wait for rule in rules.rules)
    assert one != two
    entries: list[Entry] = [(0, 0, "m0", [[one, 0, "", ""], [two, 0, "", ""]]), (5, 0, "m1", [[one, 1, "", ""]])]
    assert [run.rule.name for run in rules.open_runs(entries, {})] == ["two"]


WHENS = st.sampled_from([PLAIN, RESTART, REARM, KEYED, KEY_AND_SAME, KEY_IS_SAME, SAME])


@st.composite
def stories(draw: st.DrawFn) -> tuple[RuleSet, list[Entry]]:
    when = draw(WHENS)
    rules = rules_of(when)
    wait = rules.rules[0].wait
    keyed, has_same, is_key = " key:" in when, " same:" in when, "same: k" in when
    roles = [0, 1, 2] if "restart_on" in when else [0, 1]
    entries: list[Entry] = []
    for number in range(draw(st.integers(0, 9))):
        at = draw(st.integers(0, 12)) * instant.HOUR
        signals: list[list[str | int]] = []
        for role in draw(st.lists(st.sampled_from(roles), min_size=1, max_size=2, unique=True)):
            key = draw(st.sampled_from("xy")) if keyed and role != 1 else ""
            same = draw(st.sampled_from("st" if not is_key else "xy")) if has_same else ""
            signals.append([wait, role, key, key if is_key and role != 1 else same])
        entries.append((at, draw(st.integers(0, 2)), f"m{number}", signals))
    return rules, entries


@given(stories(), st.randoms(use_true_random=False))
def test_the_order_in_which_history_is_kept_does_not_matter(
    story: tuple[RuleSet, list[Entry]], shuffler: object
) -> None:
    rules, entries = story
    expected = rules.open_runs(entries, {})
    shuffled = [(at, sequence, message_id, list(reversed(signals))) for at, sequence, message_id, signals in entries]
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    assert rules.open_runs(shuffled, {}) == expected


@given(stories())
def test_an_entry_that_is_there_twice_counts_once(story: tuple[RuleSet, list[Entry]]) -> None:
    rules, entries = story
    assert rules.open_runs([*entries, *entries], {}) == rules.open_runs(entries, {})


@given(stories())
def test_what_is_due_is_what_nothing_closed(story: tuple[RuleSet, list[Entry]]) -> None:
    """By brute force: every run begins with an arming event and no event in reach of it would have closed it."""
    rules, entries = story
    window = rules.rules[0].when.window
    assert window is not None
    found = rules.open_runs(entries, {})
    assert len({run.run_key for run in found}) == len(found)
    for run in found:
        (armed,) = (entry for entry in entries if entry[2] == run.message_id)
        (arming,) = (signal for signal in armed[3] if signal[1] == 0)
        assert run.due >= armed[0] + window.within
        assert window.restart_on is not None or run.due == armed[0] + window.within
        for at, _, _, signals in entries:
            if armed[0] <= at <= run.due:
                assert not any(signal[1] == 1 and signal[3] == arming[3] for signal in signals)


@given(stories())
def test_a_profile_that_armed_and_never_closed_has_a_run_for_every_key(story: tuple[RuleSet, list[Entry]]) -> None:
    rules, entries = story
    unclosed = [
        (at, sequence, id_, [signal for signal in signals if signal[1] != 1]) for at, sequence, id_, signals in entries
    ]
    keyed = rules.rules[0].when.key is not None
    keys = {signal[2] for _, _, _, signals in unclosed for signal in signals if signal[1] == 0}
    found = rules.open_runs(unclosed, {})
    assert bool(found) is bool(keys)
    if keyed:
        assert {run.run_key for run in found} == keys
