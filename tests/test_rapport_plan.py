"""Plan folders: every file optional, every problem told at once, and a first one written by `init`."""

from __future__ import annotations

import json

import pytest

from rapport.plan import folder as plan_folder
from rapport.plan.init import SCHEMA
from schemas.errors import PlanError
from stream.core.plan import Plan

RULE = """rule: welcome
owner: a@shop.example
status: live
purpose: service
when: {event: Signed Up}
then:
  - {send: email, template: welcome}
"""


def test_no_folder_is_the_default_plan():
    assert plan_folder.load(None).identity == Plan().identity
    assert plan_folder.load(None).rules.rules == ()


def test_a_folder_works_without_any_of_its_files(tmp_path):
    assert plan_folder.load(tmp_path).rules.rules == ()
    (tmp_path / "identity.yaml").write_text("remember_message_ids: 1d\n")
    assert plan_folder.load(tmp_path).identity.forget_after == 86_400_000_000
    (tmp_path / "identity.yaml").unlink()
    (tmp_path / "rules" / "mail").mkdir(parents=True)
    (tmp_path / "rules" / "mail" / "welcome.yml").write_text(RULE)
    assert [rule.name for rule in plan_folder.load(tmp_path).rules.rules] == ["welcome"]


def test_every_problem_of_every_file_is_told_in_one_run(rapport, tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "identity.yaml").write_text("remember_message_ids: soon\n")
    (tmp_path / "identity.yml").write_text("")
    (tmp_path / "rules" / "a.yaml").write_text(RULE.replace("status: live", "status: alive"))
    (tmp_path / "rules" / "b.yaml").write_bytes(b"rule: caf\xe9\n")
    (tmp_path / "rules" / "c.yaml").write_text(RULE.replace("welcome\n", "other\n", 1).replace("when:", "wenn:"))
    with pytest.raises(PlanError) as raised:
        plan_folder.load(tmp_path)
    told = {problem.file.removeprefix(f"{tmp_path}/") for problem in raised.value.problems}
    assert told == {"identity.yaml", "identity.yml", "rules/a.yaml", "rules/b.yaml", "rules/c.yaml"}

    ended = rapport("rules", "check", tmp_path)
    assert ended.code == 1
    assert f"rapport: {tmp_path}/rules/a.yaml:3:9: " in ended.err
    in_json = rapport("rules", "check", tmp_path, "--json")
    assert in_json.code == 1
    assert in_json.err == ""
    assert {problem["file"] for problem in in_json.json["problems"]} == {f"{tmp_path}/{file}" for file in told}


def test_a_plan_that_does_not_load_stops_a_run_before_it_touches_anything(rapport, ndjson, tmp_path):
    file = ndjson("a.ndjson", {"type": "track", "event": "Signed Up", "userId": "ann"})
    ended = rapport("replay", file, "--data", tmp_path / "d", "--plan", tmp_path / "no-plan")
    assert ended.code == 1
    assert "rapport init" in ended.err
    assert not (tmp_path / "d").exists()


def test_init_writes_a_plan_that_loads_and_never_writes_over_one(rapport, tmp_path):
    made = rapport("init", tmp_path / "plan", "--json").json["files"]
    assert len(made) == 4
    checked = rapport("rules", "check", tmp_path / "plan", "--json").json
    assert [each["status"] for each in checked["rules"]] == ["shadow"]
    assert json.loads((tmp_path / "plan" / SCHEMA).read_bytes())["type"] == "object"

    (tmp_path / "plan" / "identity.yaml").write_text("mine")
    again = rapport("init", tmp_path / "plan")
    assert again.code == 2
    assert (tmp_path / "plan" / "identity.yaml").read_text() == "mine"


def test_the_plan_folder_comes_from_the_environment_too(rapport, ndjson, tmp_path, monkeypatch):
    rapport("init", tmp_path / "plan")
    monkeypatch.setenv("RAPPORT_PLAN", str(tmp_path / "plan"))
    monkeypatch.setenv("RAPPORT_DATA", str(tmp_path / "d"))
    carts = [
        {
            "type": "track",
            "event": "Cart Updated",
            "userId": "ann",
            "timestamp": "2026-03-02",
            "properties": {"cart_id": "c", "total": 99},
        },
    ]
    ended = rapport("replay", ndjson("a.ndjson", *carts), "--clock", "events", "--until", "2026-03-03", "--json")
    assert ended.code == 0
    decided = rapport("query", "SELECT rule, verdict FROM fct_rule_decision", "--json").json
    assert decided == [{"rule": "cart-reminder", "verdict": "shadow"}]
