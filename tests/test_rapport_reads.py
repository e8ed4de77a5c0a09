"""Looking never writes: whatever state a folder is in, no reading command changes a byte, a name or a time in it.

Where the published file cannot be used, the command says in one sentence what to do, and doing it helps.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Ended
from rapport_shell import listing
from sinks.columns.rows import record_batch
from sinks.lake.chain import Chain
from sinks_samples import event
from stream.embedded.store import LAKE, PUBLISHED

EVENTS = (
    {"type": "identify", "messageId": "m1", "userId": "ann", "traits": {"email": "ann@example.com"}},
    {"type": "track", "event": "Signed Up", "userId": "ann", "messageId": "m2"},
    b"{nonsense",
)
RULE = """\
rule: hello
owner: ann@example.com
status: live
purpose: service
when: {event: Signed Up}
then: [{webhook: hello}]
"""
PROFILE = ("profile", "user_id:ann")
READING = (
    PROFILE,
    ("find", "ann"),
    ("query", "FROM fct_event"),
    ("query", "--tables"),
    ("identity", "log"),
    ("identity", "explain", "user_id:ann", "email:ann@example.com"),
    ("rejected", "list"),
    ("rejected", "show", ""),
    ("doctor",),
)
Rapport = Callable[..., Ended]


@pytest.fixture
def data(rapport, ndjson, tmp_path) -> Path:
    """A folder that one run has filled and published."""
    plan = tmp_path / "plan"
    (plan / "rules").mkdir(parents=True)
    (plan / "rules" / "hello.yaml").write_text(RULE)
    folder = tmp_path / "its data"
    assert rapport("replay", ndjson("a.ndjson", *EVENTS), "--data", folder, "--plan", plan).code == 0
    return folder


def _elsewhere(data: Path) -> Path:
    return data.rename(data.with_name("moved"))


def _copied(data: Path) -> Path:
    return shutil.copytree(data, data.with_name("a copy"))


def _deleted(data: Path) -> Path:
    (data / PUBLISHED).unlink()
    return data


def _damaged(data: Path) -> Path:
    (data / PUBLISHED).write_bytes(b"no database")
    return data


def _of_other_tables(data: Path) -> Path:
    """A DuckDB file that is not ours."""
    import duckdb

    (data / PUBLISHED).unlink()
    duckdb.connect(str(data / PUBLISHED)).close()
    return data


STATES = (_deleted, _damaged, _of_other_tables)


def test_a_look_changes_nothing(rapport: Rapport, data: Path) -> None:
    before = listing(data)
    for command in READING:
        ended = rapport(*command, "--data", data)
        assert (ended.code, "publish" in ended.err) == (0, False), command
        assert listing(data) == before, command


@pytest.mark.parametrize("spoil", STATES)
def test_where_the_published_file_cannot_be_used_it_says_what_to_do(
    rapport: Rapport, data: Path, spoil: Callable[[Path], Path]
) -> None:
    data = spoil(data)
    before = listing(data)
    for command in READING[:-1]:
        ended = rapport(*command, "--data", data)
        assert (ended.code, ended.out == b"") == ((0, False) if command == PROFILE else (1, True)), command
        (told,) = ended.err.splitlines()
        (publish,) = re.findall(r"`rapport (publish .*?)`", told)
    assert "rapport publish" in rapport("doctor", "--data", data).text
    assert listing(data) == before
    assert rapport(*shlex.split(publish)).code == 0
    for command in (PROFILE, ("find", "ann"), ("doctor",)):
        ended = rapport(*command, "--data", data)
        assert (ended.code, "publish" in ended.err) == (0, False), command


@pytest.mark.parametrize("move", [_elsewhere, _copied])
def test_a_folder_that_was_moved_or_copied_reads_its_own_parquet(
    rapport: Rapport, data: Path, move: Callable[[Path], Path]
) -> None:
    """The views name the old place: other tools see that one until the folder is published anew."""
    import duckdb

    moved = move(data)
    for file in data.rglob("*.parquet"):
        file.unlink()
    before = listing(moved)
    for command in READING[:-1]:
        ended = rapport(*command, "--data", moved)
        assert (ended.code, ended.out == b"", "publish" in ended.err) == (0, False, False), command
    found = {each["check"]: each["found"] for each in rapport("doctor", "--data", moved, "--json").json["findings"]}
    assert f"other tools look for the Parquet in {data / LAKE}" in found["published"]
    assert listing(moved) == before
    assert rapport("publish", "--data", moved).code == 0
    assert "Parquet in" not in rapport("doctor", "--data", moved, "--json").text
    with duckdb.connect(str(moved / PUBLISHED), read_only=True) as other_tool:
        assert other_tool.execute("SELECT count(*) FROM mart.fct_event").fetchall() == [(2,)]


def test_a_customer_is_shown_without_what_only_the_published_file_knows(rapport: Rapport, data: Path) -> None:
    assert [each["rule"] for each in rapport(*PROFILE, "--data", data, "--json").json["triggers"]] == ["hello"]
    (data / PUBLISHED).unlink()
    shown = rapport(*PROFILE, "--data", data, "--json").json
    assert (shown["triggers"], shown["event_count"]) == (None, 2)


def test_what_was_published_before_the_newest_events_is_shown_with_a_remark(
    rapport: Rapport, ndjson: Callable[..., Path], data: Path
) -> None:
    old = (data / PUBLISHED).read_bytes()
    assert rapport("replay", ndjson("b.ndjson", {**EVENTS[1], "messageId": "m3"}), "--data", data).code == 0
    (data / PUBLISHED).write_bytes(old)
    before = listing(data)
    for command in READING[:-1]:
        ended = rapport(*command, "--data", data)
        assert (ended.code, ended.out == b"") == (0, False), command
        assert "does not show the newest events: `rapport publish" in ended.err
    assert listing(data) == before
    assert rapport("publish", "--data", data).code == 0
    assert "publish" not in rapport(*PROFILE, "--data", data).err


def test_publishing_writes_what_a_killed_run_left_in_the_store(rapport: Rapport, data: Path) -> None:
    """Its outputs wait there for a Parquet file; the lake alone does not know them."""
    from schemas.messages import Event
    from stream.core.intake import Intake
    from stream.core.plan import Plan
    from stream.embedded.engine import Engine

    class Killed(BaseException):
        pass

    plan = Plan()
    line = b'{"type": "track", "event": "Seen", "userId": "ann", "messageId": "m9"}'
    with pytest.raises(Killed), Engine.open(data, plan) as engine:  # noqa: PT012
        engine.take(each for each in Intake(plan, lambda: 10**15).lines([line], "x") if isinstance(each, Event))
        raise Killed
    assert rapport("query", "SELECT count(*) AS n FROM fct_event", "--data", data, "--json").json == [{"n": 2}]
    assert rapport("publish", "--data", data, "--json").json["events"] == 3
    assert rapport("query", "SELECT count(*) AS n FROM fct_event", "--data", data, "--json").json == [{"n": 3}]


def test_there_is_nothing_to_publish_where_nothing_is(rapport: Rapport, tmp_path: Path) -> None:
    for command in (*READING[:-1], ("publish",)):
        ended = rapport(*command, "--data", tmp_path / "none")
        assert ended.code == 1
        assert "holds no customer data yet" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_sinks_fill_is_told_of_when_it_cannot_be_read_and_not_when_it_is_behind(
    rapport: Rapport, tmp_path: Path
) -> None:
    """Its sinks publish every few seconds: behind is what it usually is."""

    def add(first: int) -> None:
        chain = Chain(tmp_path / LAKE, "facts", 0, "facts")
        chain.append(first, first + 1, record_batch("facts", [event("user_id:ann", message_id=f"m{first}")]))
        chain.flush()

    counted = ("query", "SELECT count(*) AS n FROM fct_event", "--data", tmp_path, "--json")
    add(0)
    missing = rapport(*counted)
    assert (missing.code, "`rapport publish" in missing.err) == (1, True)
    assert rapport("publish", "--data", tmp_path, "--json").json["events"] == 1
    add(1)
    before = listing(tmp_path)
    behind = rapport(*counted)
    assert (behind.json, behind.err) == ([{"n": 1}], "")
    assert listing(tmp_path) == before
    assert rapport("publish", "--data", tmp_path).code == 0
    assert rapport(*counted).json == [{"n": 2}]
