"""docs/imports.md is run; imports through the command line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from rapport_shell import ROOT

PAGE = (ROOT / "docs" / "imports.md").read_text(encoding="utf-8")
FILES = re.findall(r"<!-- file (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
TRANSCRIPT = re.findall(r"^\$ (.*)\n((?:(?!\$ |```).*\n)*)", PAGE, re.MULTILINE)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES:
        Path(name).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_page_shows_what_happens(here, rapport):
    assert len(TRANSCRIPT) >= 6
    for command, shown in TRANSCRIPT:
        ended = rapport(*shlex.split(command)[1:])
        pattern = re.escape("\n".join(line.rstrip() for line in shown.splitlines())).replace(r"\.\.\.", ".*")
        found = "\n".join(line.rstrip() for line in (ended.err if ended.code else ended.text).splitlines())
        assert re.fullmatch(pattern, found, re.DOTALL), command


def test_an_unreadable_row_is_recorded_once_and_never_replayed(here, rapport):
    command = ("import", "orders.csv", "--sql", "orders.sql", "--json")
    first, second = (rapport(*command).json for _ in range(2))
    assert [first[name] for name in ("read", "applied", "rejected")] == [3, 2, 1]
    assert [second[name] for name in ("read", "duplicate", "rejected")] == [3, 2, 1]
    assert len(rapport("rejected", "list", "--json").json) == 1
    again = rapport("rejected", "replay", "--json").json
    assert (again["read"], again["cut"]) == (0, 1)


def test_a_dry_run_takes_nothing_and_says_what_would_come(here, rapport):
    Path("nobody.sql").write_text("SELECT 'page' AS type, nullif(Customer, 'u-2') AS user_id FROM source ORDER BY Nr")
    ended = rapport("import", "orders.csv", "--sql", "nobody.sql", "--dry-run", 5, "--json")
    assert [(each["outcome"], each.get("code")) for each in ended.json] == [
        ("rejected", "unreadable_row"),
        ("accepted", None),
        ("rejected", "no_identifier"),
    ]
    assert (ended.code, ended.err) == (0, "Nothing was taken. 1 row cannot be read.\n")
    assert not Path("data").exists()


def test_options_that_cannot_be_are_told(here, rapport):
    for option, value, said in (
        ("--encoding", "latin-99", "no such encoding"),
        ("--encoding", "rot13", "no such encoding"),
        ("--delimiter", "\n", "one character"),
        ("--delimiter", ";;", "one character"),
        ("--quote", '""', "one character"),
        ("--with", "orders", "NAME=FILE"),
        ("--with", "Source=orders.csv", "another table"),
        ("--with", "more=none.csv", "none.csv: no such file"),
    ):
        ended = rapport("import", "orders.csv", "--sql", "orders.sql", option, value)
        assert ended.code == 2
        assert said in ended.err


def test_what_holds_no_json_lines_is_refused_before_anything_is_taken(here, rapport, ndjson):
    good = ndjson("good.ndjson", {"type": "page", "userId": "u"})
    Path("e.json").write_text('[\n  {\n    "type": "page"\n  }\n]\n')
    for file, said in (("e.json", "e.json is one JSON array"), ("orders.csv", "orders.csv is delimited text")):
        ended = rapport("replay", good, file)
        assert ended.code == 1
        assert ended.err.count("\n") == 1
        assert said in ended.err
        assert f"`rapport import {file} --sql FILE.sql`" in ended.err
    assert not Path("data").exists()


def test_input_of_which_nothing_could_be_used_is_a_failure(here, rapport, ndjson):
    foreign = ndjson("ga4.ndjson", *({"event_name": "page_view", "n": number} for number in range(3)))
    Path("none.sql").write_text("SELECT 'track' AS type FROM source")
    for command, hint in (
        (("replay", foreign), "rapport import"),
        (("replay", foreign), "rapport import"),
        (("import", "orders.csv", "--sql", "none.sql"), "rapport rejected list"),
    ):
        ended = rapport(*command)
        assert (ended.code, "Nothing of it could be used" in ended.err, hint in ended.err) == (1, True, True)
    mixed = ndjson("mixed.ndjson", b"{broken", {"type": "page", "userId": "u"})
    assert rapport("replay", mixed).code == 0
    assert rapport("replay", ndjson("empty.ndjson")).code == 0
    assert rapport("replay", ndjson("later.ndjson", {"type": "consent", "userId": "u"})).code == 0
