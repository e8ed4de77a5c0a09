"""Plan folders: every file optional, every problem told at once, and a first one written by `init`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from conftest import Rapport
from rapport.plan import folder as plan_folder
from rapport.plan.init import SCHEMA
from rapport_shell import listing
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


# --- which files are read -------------------------------------------------------------------------------------------


def names_of(plan: Plan) -> list[str]:
    return sorted(rule.name for rule in plan.rules.rules)


def rule(name: str) -> str:
    return RULE.replace("rule: welcome", f"rule: {name}")


def written(folder: Path, **texts: str) -> Path:
    """A plan folder with these rule files."""
    (folder / "rules").mkdir(parents=True)
    for name, text in texts.items():
        (folder / "rules" / f"{name}.yaml").write_text(text)
    return folder


def test_hidden_files_and_folders_are_not_looked_at(tmp_path):
    plan = written(tmp_path, a=rule("a"))
    for hidden in (".ipynb_checkpoints/a-checkpoint.yaml", "..2026_11_01/a.yaml", ".git/x.yaml", "sub/.hidden/a.yaml"):
        (plan / "rules" / hidden).parent.mkdir(parents=True)
        (plan / "rules" / hidden).write_text(rule("a"))
    (plan / "rules" / "._a.yaml").write_bytes(b"\0\5")
    (plan / "rules" / ".#a.yaml").symlink_to("nobody@host.1234")
    assert names_of(plan_folder.load(plan)) == ["a"]
    assert plan_folder.doubts(plan, plan_folder.load(plan)) == []
    visible_from_a_hidden_place = tmp_path / ".plans"
    written(visible_from_a_hidden_place, b=rule("b"))
    assert names_of(plan_folder.load(visible_from_a_hidden_place)) == ["b"]


def test_a_plan_loads_as_kubernetes_mounts_it(tmp_path):
    mounted = tmp_path / "rules" / "..2026_11_01"
    mounted.mkdir(parents=True)
    for name in ("a", "b"):
        (mounted / f"{name}.yaml").write_text(rule(name))
        (tmp_path / "rules" / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
    (tmp_path / "rules" / "..data").symlink_to("..2026_11_01")
    assert names_of(plan_folder.load(tmp_path)) == ["a", "b"]


def test_a_whole_folder_may_be_a_link(tmp_path):
    real = written(tmp_path / "..data", a=rule("a"))
    (real / "rules" / "mail").mkdir()
    (real / "rules" / "mail" / "b.yml").write_text(rule("b"))
    (real / "identity.yaml").write_text("remember_message_ids: 1d\n")
    plan = tmp_path / "plan"
    plan.mkdir()
    for name in ("rules", "identity.yaml"):
        (plan / name).symlink_to(f"../..data/{name}")
    loaded = plan_folder.load(plan)
    assert names_of(loaded) == ["a", "b"]
    assert loaded.identity.forget_after == 86_400_000_000


def test_links_are_followed_once(tmp_path):
    plan = written(tmp_path / "plan", a=rule("a"))
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "s.yaml").write_text(rule("s"))
    (shared / "back").symlink_to(plan / "rules")
    rules = plan / "rules"
    (rules / "one").symlink_to(shared)
    (rules / "two").symlink_to(shared)
    (rules / "loop").symlink_to(".")
    (rules / "0-the-same.yaml").symlink_to("a.yaml")
    assert names_of(plan_folder.load(plan)) == ["a", "s"]
    assert [Path(each.file).name for each in plan_folder.load(plan).rules.rules] == ["a.yaml", "s.yaml"]


@pytest.mark.parametrize(
    ("name", "what"), [("a.yaml", "No such file"), ("sub/a.yml", "No such file"), ("b.yaml", "is no file")]
)
def test_what_is_called_a_rule_file_and_is_none_is_a_problem(tmp_path, name, what):
    plan = written(tmp_path)
    path = plan / "rules" / name
    path.parent.mkdir(exist_ok=True)
    if what == "is no file":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere.yaml")
    with pytest.raises(PlanError, match=what):
        plan_folder.load(plan)


@pytest.mark.parametrize("name", ["identity.yaml", "identity.yml", "plan.yaml"])
def test_a_settings_file_that_is_there_and_cannot_be_read_is_a_problem(tmp_path, name):
    (tmp_path / name).symlink_to("nowhere.yaml")
    with pytest.raises(PlanError, match=f"{name}: cannot be read: No such file"):
        plan_folder.load(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(PlanError, match=f"{name}: cannot be read: Is a directory"):
        plan_folder.load(tmp_path)


def test_a_file_that_looks_like_a_part_of_the_plan_and_is_not_read_is_named(rapport, tmp_path):
    plan = written(tmp_path / "plan", a=rule("a"))
    litter = {
        "Identity.yaml": "name it identity.yaml",
        "identity.yaml.txt": "name it identity.yaml",
        "identity.json": "name it identity.yaml",
        "PLAN.YML": "name it plan.yaml",
        "cart.yaml": "rules are in rules/, tests in tests/",
        "Rules/b.yaml": "rename its folder to rules",
        "rule/b.yml": "rename its folder to rules",
        "Tests/b.yaml": "rename its folder to tests",
        "segments/vip.yaml": "only rules/, tests/, identity.yaml and plan.yaml are",
        "rules/cart.YAML": "its name must end in .yaml or .yml, in small letters",
        "rules/cart.yaml.txt": "its name must end in .yaml or .yml, in small letters",
        "rules/sub/cart.yaml~": "its name must end in .yaml or .yml, in small letters",
        "rules/cart": "its name must end in .yaml or .yml, in small letters",
        "tests/cart.json": "its name must end in .yaml or .yml, in small letters",
    }
    for name in (
        *litter,
        "README.md",
        "rules/notes.md",
        "rule.schema.json",
        "LICENSE",
        "plan.md",
        "docs/plan.md",
        ".x.yaml",
    ):
        (plan / name).parent.mkdir(parents=True, exist_ok=True)
        (plan / name).write_text(rule("b"))
    (plan / "rules" / "gone").symlink_to("nowhere")
    (plan / "tests" / "a.yaml").write_text("read by another command")
    loaded = plan_folder.load(plan)
    assert names_of(loaded) == ["a"]
    expected = {f"{plan}/{name}": f"this file is not read: {advice}." for name, advice in litter.items()}
    expected[f"{plan}/rules/gone"] = "this file is not read: it leads to nothing."
    assert {lint.file: lint.message for lint in plan_folder.doubts(plan, loaded)} == expected

    checked = rapport("rules", "check", plan)
    assert checked.code == 0
    assert f"warning: {plan}/Identity.yaml: this file is not read: name it identity.yaml.\n" in checked.err
    assert checked.err.endswith("1 rule, no problems, 15 warnings.\n")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_a_problem(tmp_path):
    plan = written(tmp_path, a=rule("a"))
    (plan / "rules").chmod(0)
    try:
        with pytest.raises(PlanError, match="Permission denied"):
            plan_folder.load(plan)
    finally:
        (plan / "rules").chmod(0o700)


# --- what `rules check` says ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [None, {}, {"a": "# nothing yet\n"}])
def test_a_folder_without_rules_is_told(rapport, tmp_path, rules):
    plan = tmp_path if rules is None else written(tmp_path, **rules)
    checked = rapport("rules", "check", plan)
    assert checked.code == 0
    assert f"warning: {plan}/rules: there are no rules; `rapport init DIR` writes a first one.\n" in checked.err
    assert checked.err.endswith("0 rules, no problems, 1 warning.\n")


def test_warnings_change_neither_the_exit_code_nor_a_run(rapport, ndjson, tmp_path):
    plan = written(tmp_path / "plan", a=RULE.replace("Signed Up", "signed up"))
    told = "rule `welcome`: no event is known as `signed up`; did you mean `Signed Up`?"
    checked = rapport("rules", "check", plan)
    assert checked.code == 0
    assert f"warning: {plan}/rules/a.yaml:5:15: {told}\n" in checked.err
    in_json = rapport("rules", "check", plan, "--json")
    assert (in_json.code, in_json.err) == (0, "")
    assert in_json.json["ok"] is True
    assert in_json.json["warnings"] == [{"file": f"{plan}/rules/a.yaml", "line": 5, "column": 15, "message": told}]

    file = ndjson("a.ndjson", {"type": "track", "event": "signed up", "userId": "ann"})
    ended = rapport("replay", file, "--data", tmp_path / "d", "--plan", plan, "--json")
    assert (ended.code, ended.json["triggers"], ended.err) == (0, 1, "")


def test_the_hash_of_the_plan_is_that_which_workers_show(rapport, tmp_path):
    plan = written(tmp_path, a=RULE)
    before = rapport("rules", "check", plan, "--json").json["plan"]
    assert before == plan_folder.digest(plan_folder.load(plan))
    (plan / "rules" / "a.yaml").write_text(RULE.replace("status: live", "status: paused"))
    assert rapport("rules", "check", plan, "--json").json["plan"] != before


EVENTS = (
    {"type": "track", "event": "Warehouse Shipped", "userId": "ann", "properties": {"weight": 5, "box": {"width": 1}}},
    {"type": "page", "name": "Home", "userId": "ann", "properties": {"section": "shop"}},
    {"type": "identify", "userId": "ann", "traits": {"city": "Bonn"}},
)


def asking(event: str, field: str) -> str:
    return RULE.replace("{event: Signed Up}", f"{{event: {event}, where: {{{field}: {{exists: true}}}}}}")


@pytest.mark.parametrize(
    ("event", "field", "told"),
    [
        ("Warehouse Shipped", "weight", ""),
        ("Warehouse Shipped", "box.width", ""),
        ("page", "section", ""),
        ("identify", "city", ""),
        ("Signed Up", "anything", ""),
        ("Warehouse Opened", "x", "`Warehouse Opened` is neither in the vocabulary nor an event in "),
        ("Home", "x", "`Home` is neither in the vocabulary nor an event in "),
        ("Warehouse Shipped", "height", "neither the vocabulary nor any `Warehouse Shipped` in "),
        ("page", "city", "neither the vocabulary nor any `page` in "),
        ("identify", "section", "neither the vocabulary nor any `identify` in "),
    ],
)
def test_names_are_compared_with_those_of_the_data_folder(rapport, ndjson, tmp_path, monkeypatch, event, field, told):
    monkeypatch.chdir(tmp_path)
    plan = written(tmp_path / "plan", a=asking(event, field))
    assert rapport("rules", "check", plan, "--json").json["warnings"] == []  # nothing there to compare with
    file = ndjson("a.ndjson", *EVENTS)
    assert rapport("replay", file, "--data", "data").code == 0
    before = listing(tmp_path)
    warnings = rapport("rules", "check", plan, "--json").json["warnings"]
    assert [bool(told) and told in warning["message"] for warning in warnings] == [True] * bool(told)
    assert warnings == rapport("rules", "check", plan, "--data", tmp_path / "data", "--json").json["warnings"] or told
    assert listing(tmp_path) == before

    (tmp_path / "data").rename(tmp_path / "moved")
    assert rapport("rules", "check", plan, "--json").json["warnings"] == []


def test_a_plan_is_checked_before_there_are_data_too(rapport, tmp_path, monkeypatch):
    plan = written(tmp_path / "plan", a=RULE)
    ended = rapport("rules", "check", plan, "--data", tmp_path / "nothing")
    assert ended.code == 0
    assert f"Names are compared with the vocabulary only: {tmp_path}/nothing holds no customer data yet" in ended.err
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rapport.duckdb").write_text("damaged")
    ended = rapport("rules", "check", plan)
    assert (ended.code, ended.err) == (0, "1 rule, no problems, no warnings.\n")


# --- the plan that a folder had last ----------------------------------------------------------------------------------

CART = """rule: cart
owner: o
status: live
purpose: p
when: {event: Cart Updated, not_followed_by: {event: Order Completed}, within: 1h}
then: [{send: email, template: x}]
"""


def test_a_run_without_a_plan_goes_on_with_the_last_one(rapport: Rapport, tmp_path: Path) -> None:
    folder, data = tmp_path / "plan", tmp_path / "data"
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "cart.yaml").write_text(CART)
    (folder / "identity.yaml").write_text("remember_message_ids: 3d\n")
    (folder / "plan.yaml").write_text("allow_late_input: 5m\n")
    named = plan_folder.digest(plan_folder.load(folder))

    def replayed(name: str, at: str, *plan: object) -> Any:
        file = tmp_path / "events.ndjson"
        file.write_text(json.dumps({"type": "track", "event": name, "userId": "u", "timestamp": at}))
        return rapport("replay", file, "--data", data, "--clock", "events", "--json", *plan)

    assert replayed("Cart Updated", "2026-03-02T10:00:00Z", "--plan", folder).json["triggers"] == 0
    shutil.rmtree(folder)
    assert plan_folder.digest(plan_folder.load(None, data)) == named
    assert rapport("doctor", "--data", data, "--json").json["findings"][0]["found"].startswith("none named: 1 rule,")
    assert replayed("Signed In", "2026-03-02T12:00:00Z").json["triggers"] == 1
    assert plan_folder.digest(plan_folder.load(None, tmp_path / "nowhere")) != named


def test_a_kept_plan_that_cannot_be_read_is_told(rapport: Rapport, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"rules": 7}')
    (tmp_path / "a.ndjson").write_text("{}\n")
    ended = rapport("replay", tmp_path / "a.ndjson", "--data", tmp_path)
    assert ended.code == 1
    assert "plan.json cannot be read" in ended.err
    assert "--plan DIR" in ended.err
