"""The comparison of two runs: it sees every kind of difference and nothing where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.messages import IdentityDecision, Output
from sinks_samples import event, merge, order, published, refusal, rejected, rule_decision, trigger
from stream_parity import differences

A, B, C = "user_id:1", "email:a@b.c", "anonymous_id:x"


def a_run() -> dict[str, list[Output]]:
    return {
        "facts": [
            event(B, C, message_id="m1"),
            order(A, "m2", "2026-03-02T10:00:00Z", order_id="o1", revenue=10, currency="EUR"),
        ],
        "identity": [merge(1, A, B, [B]), merge(2, A, C, [C]), refusal(3, A, "user_id:2")],
        "triggers": [trigger("t1", {"to": "ann"})],
        "decisions": [rule_decision("cart-1")],
        "rejected": [rejected(b"{")],
    }


def compared(folder: Path, other: dict[str, list[Output]], leaving_out: tuple[str, ...] = ()) -> list[str]:
    for name, outputs in (("left", a_run()), ("right", other)):
        (folder / name).mkdir()
        published(folder / name, **outputs).close()
    return differences(folder / "left" / "rapport.duckdb", folder / "right" / "rapport.duckdb", leaving_out)


def later(decision: IdentityDecision, number: int) -> IdentityDecision:
    return decision._replace(decision=number, decided_at=decision.decided_at + 1)


def test_order_numbers_and_processing_times_do_not_matter(tmp_path):
    other = a_run()
    other["facts"] = [fact._replace(received_at=fact.received_at + 9) for fact in reversed(other["facts"])]
    first, second, refused = other["identity"]
    other["identity"] = [later(refused, 1), later(second, 2), later(first, 3)]
    other["triggers"] = [each._replace(fired_at=each.fired_at + 9, trigger_id="t2") for each in other["triggers"]]
    assert compared(tmp_path, other) == []


def test_other_merges_to_the_same_customer_are_the_same(tmp_path):
    other = a_run()
    other["identity"][:2] = [merge(1, B, C, [C]), merge(2, A, B, [B, C])]
    assert compared(tmp_path, other) == []


def test_a_profile_of_the_time_is_looked_up_as_the_profile_of_today(tmp_path):
    from schemas.keys import profile_id

    other = a_run()
    run = a_run()
    for outputs, key in ((other, B), (run, A)):
        outputs["triggers"] = [each._replace(profile_id=profile_id(key)) for each in outputs["triggers"]]
    for name, outputs in (("left", run), ("right", other)):
        (tmp_path / name).mkdir()
        published(tmp_path / name, **outputs).close()
    assert differences(tmp_path / "left" / "rapport.duckdb", tmp_path / "right" / "rapport.duckdb") == []


@pytest.mark.parametrize(
    ("topic", "change", "says"),
    [
        ("facts", lambda found: found[:-1], "fct_event: 1 of 2 rows only on the left, 0 of 1 only on the right"),
        (
            "facts",
            lambda found: [*found, found[0]],
            "fct_event: 0 of 2 rows only on the left, 1 of 3 only on the right",
        ),
        ("identity", lambda found: found[:1] + found[2:], "bridge_identity"),
        ("identity", lambda found: found[:2], "fct_identity_decision"),
        ("triggers", lambda found: [found[0]._replace(payload={"to": "bob"})], "payload"),
        ("decisions", lambda found: [found[0]._replace(verdict="missed")], "verdict='missed'"),
        ("rejected", lambda found: [found[0]._replace(code="other")], "code 'not_json' | 'other'"),
    ],
)
def test_every_difference_is_told(tmp_path, topic, change, says):
    other = a_run()
    other[topic] = change(other[topic])
    assert says in "\n".join(compared(tmp_path, other))


def test_customers_whom_two_contend_for_are_left_out(tmp_path):
    other = a_run()
    other["identity"] = other["identity"][:1] + other["identity"][2:]
    assert compared(tmp_path, other, leaving_out=(A, C)) == []
