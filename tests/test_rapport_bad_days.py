"""Bad days through the command line: one line that says what to do, no traceback, and nothing lost.

Whatever went wrong, once its cause is gone the same command completes and the totals are exact.
"""

from __future__ import annotations

import gzip
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import zstandard

from conftest import Ended, Rapport
from rapport.demo.shop import Month
from rapport_shell import (
    ALWAYS_WALL,
    ENVIRONMENT,
    SHOP,
    WALL_TIMES,
    Ran,
    assert_same,
    ran,
    start,
    tables,
)
from sinks.marts.publisher import publish
from stream.embedded.store import LAKE, PUBLISHED

Tables = dict[str, list[tuple[Any, ...]]]
LINES = list(islice(Month(3).lines(), 3_000))
OPTIONS = ("--plan", SHOP, "--clock", "events")
KNOWN_BY_NO_CLOCK = ("fct_event", "dim_customer", "fct_order")
AS_ROOT = os.geteuid() == 0


def complained(ended: Ran | Ended, *words: str, code: int = 1) -> None:
    """One line on stderr, in the product's words."""
    assert ended.code == code, (ended.code, ended.err)
    assert "Traceback" not in ended.err
    assert ended.err.count("\n") == 1, ended.err
    assert ended.err.startswith("rapport: ")
    for word in words:
        assert word in ended.err


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("input") / "shop.ndjson"
    path.write_bytes(b"\n".join(LINES) + b"\n")
    return path


@pytest.fixture(scope="module")
def whole(events: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a good day."""
    data = tmp_path_factory.mktemp("whole") / "data"
    assert ran("replay", events, "--data", data, *OPTIONS).code == 0
    return data


@pytest.fixture
def data(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to break."""
    copy = shutil.copytree(whole, tmp_path / "data")
    publish(copy / LAKE, copy / PUBLISHED)
    return copy


@pytest.fixture(scope="module")
def good(whole: Path) -> Tables:
    """The tables of a good day."""
    return tables(whole)


@pytest.fixture
def completes(good: Tables, events: Path, rapport: Rapport) -> Callable[..., None]:
    """`completes(data)`: the same command comes to a good day now."""

    def check(data: Path, clock: str = "events") -> None:
        ended = rapport("replay", events, "--data", data, *OPTIONS, "--clock", clock)
        assert ended.code == 0, ended.err
        found, wanted = tables(data), good
        if clock == "wall":
            found, wanted = ({name: each[name] for name in KNOWN_BY_NO_CLOCK} for each in (found, wanted))
        assert_same(found, wanted)

    return check


# --- the disk -------------------------------------------------------------------------------------------------------


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A file system of its own at `folder`; skips where this machine lets nobody mount one."""
    folder.mkdir(exist_ok=True)
    if not AS_ROOT or subprocess.run(["mount", *options, folder], capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize(("megabytes", "clock"), [(1, "wall"), (3, "events")])
def test_a_full_disk(events, tmp_path, megabytes, clock, completes):
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs"):
        data = tmp_path / "disk" / "data"
        complained(ran("replay", events, "--data", data, *OPTIONS, "--clock", clock), "full", "free some space")
        subprocess.run(["mount", "-o", "remount,size=200m", tmp_path / "disk"], check=True)
        completes(data, clock)


@pytest.mark.parametrize(("kilobytes", "clock"), [(20, "wall"), (20, "events"), (600, "wall")])
def test_a_file_that_may_not_grow(events, tmp_path, kilobytes, clock, completes):
    """A quota: no file may be larger than this."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024,) * 2)

    ended = ran("replay", events, "--data", tmp_path, *OPTIONS, "--clock", clock, preexec_fn=limit)
    complained(ended, "full", "free some space")
    completes(tmp_path, clock)


def test_a_result_that_finds_no_space(data):
    for format_ in ("table", "csv", "json", "parquet"):
        with Path("/dev/full").open("wb") as full:
            ended = ran("query", "FROM fct_event", "--format", format_, "--data", data, stdout=full)
        complained(ended, "No space left")


def test_a_read_only_disk(events, data, tmp_path, completes):
    """Looking works; whatever writes says that it cannot."""
    asked = "SELECT 'user_id:' || user_id AS key FROM dim_customer WHERE user_id IS NOT NULL ORDER BY ALL LIMIT 2"
    one, other = (each["key"] for each in ran("query", asked, "--data", data, "--json").json)
    with mounted(tmp_path / "disk", "--bind", str(data)):
        subprocess.run(["mount", "-o", "remount,bind,ro", tmp_path / "disk"], check=True)
        for command in (
            ("replay", events, *OPTIONS),
            ("compact",),
            ("publish",),
            ("identity", "split", one, other, "--yes"),
        ):
            complained(ran(*command, "--data", tmp_path / "disk"), "cannot be written", "permission")
        assert ran("profile", one, "--data", tmp_path / "disk").code == 0
        complained(ran("replay", events, "--data", tmp_path / "disk" / "new"), "cannot be written")
    completes(data)


def test_no_permission(events, data, tmp_path, completes):
    secret = tmp_path / "secret.ndjson"
    secret.write_bytes(b"{}")
    secret.chmod(0)
    if os.access(secret, os.R_OK):
        pytest.skip("this user may read and write everything")
    complained(ran("replay", secret, "--data", data), "ermission")
    for folder in (data, data / "store"):
        folder.chmod(0o500)
        complained(ran("replay", events, "--data", data, *OPTIONS), "cannot be", "ermission")
        folder.chmod(0o700)
    completes(data)


def test_a_file_in_place_of_the_folder(events, tmp_path):
    (tmp_path / "file").write_text("mine")
    ended = ran("replay", events, "--data", tmp_path / "file")
    assert ended.code == 2
    assert "is a" in ended.err
    complained(ran("replay", events, "--data", tmp_path / "file" / "data"), "cannot be")
    for name in ("store", "lake", "layout"):
        folder = tmp_path / f"no-{name}"
        folder.mkdir()
        if name == "layout":
            (folder / name).mkdir()
        else:
            (folder / name).write_text("mine")
        complained(ran("replay", events, "--data", folder), str(folder))
    assert (tmp_path / "file").read_text() == "mine"


# --- the data folder ------------------------------------------------------------------------------------------------


def test_a_second_process_on_the_same_folder(events, good, tmp_path):
    first = start(
        "replay", "-", events, "--data", tmp_path, *OPTIONS[:2], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "store" / "LOCK").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)
    for command in (("replay", events), ("compact",)):
        complained(ran(*command, "--data", tmp_path), "in use by another Rapport process")
    first.communicate(b"", timeout=120)
    assert first.returncode == 0
    assert len(tables(tmp_path)["fct_event"]) == len(good["fct_event"])


def _manifest(data: Path, change: Callable[[bytes], bytes]) -> None:
    path = data / "lake" / "_manifests" / "facts-0.json"
    path.write_bytes(change(path.read_bytes()))


NEWER = {
    "store": lambda data: (data / "layout").write_text("2\n"),
    "lake": lambda data: _manifest(data, lambda text: text.replace(b'"version":3', b'"version":99')),
}


@pytest.mark.parametrize("part", NEWER)
def test_a_folder_of_a_newer_version(events, data, part):
    NEWER[part](data)
    complained(ran("replay", events, "--data", data, *OPTIONS), "pgrade Rapport")
    complained(ran("compact", "--data", data), "pgrade Rapport")


def _first(data: Path, pattern: str) -> Path:
    return next(iter(sorted(data.glob(pattern))))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "layout": lambda data: (data / "layout").write_bytes(b"\xff\x00\xfe"),
    "manifest": lambda data: _manifest(data, lambda text: text[:50]),
    "parquet cut": lambda data: os.truncate(_first(data, "lake/facts/*/*.parquet"), 100),
    "parquet gone": lambda data: _first(data, "lake/facts/*/*.parquet").unlink(),
    "store cut": lambda data: [os.truncate(path, 100) for path in data.glob("store/*.sst")],
    "store overwritten": lambda data: [_overwrite(path) for path in data.glob("store/*.sst")],
    "store headless": lambda data: (data / "store" / "CURRENT").unlink(),
}


def _overwrite(path: Path) -> None:
    """A few wrong bytes where only a look at the rows finds them."""
    with path.open("r+b") as file:
        file.seek(200)
        file.write(b"rapport" * 3)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_that_only_a_backup_mends(events, data, damage):
    DAMAGES[damage](data)
    complained(ran("replay", events, "--data", data, *OPTIONS), str(data))
    found = ran("doctor", "--data", data, "--json")
    assert found.code == 1
    assert "Traceback" not in found.err
    assert any(each["verdict"] == "fail" and each["advice"] for each in found.json["findings"])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: os.truncate(data / "rapport.duckdb", 5_000),
        lambda data: (data / "rapport.duckdb").write_bytes(b"no database"),
        lambda data: (data / "rapport.duckdb").unlink(),
        lambda data: (data / "rapport.duckdb.building").mkdir(),
        lambda data: (_first(data, "lake/facts/*") / "part-0-7-9.parquet").write_bytes(b"half"),
        lambda data: (data / "lake" / "_staging" / "facts~part-0-1-2.parquet").write_bytes(b"half"),
        lambda data: (data / "lake" / "_manifests" / "facts-0.json.new").write_bytes(b"{"),
        lambda data: (data / "sorting").mkdir(),
    ],
    ids=["cut", "overwritten", "gone", "building", "stray", "staged", "manifest", "sorting"],
)
def test_what_was_half_written_is_written_again(data, spoil, completes, rapport):
    spoil(data)
    query = rapport("query", "SELECT count(*) AS n FROM fct_event", "--data", data, "--json")
    if query.code:
        complained(query, "rapport ")
    completes(data)


# --- the input ------------------------------------------------------------------------------------------------------


def _cut(packed: bytes) -> bytes:
    return packed[: len(packed) // 2]


def _wrong_in_the_middle(packed: bytes) -> bytes:
    middle = len(packed) // 2
    return packed[:middle] + b"rapport" * 9 + packed[middle + 63 :]


@pytest.mark.parametrize("break_", [_wrong_in_the_middle, _cut])
@pytest.mark.parametrize(("suffix", "clock"), [(".gz", "wall"), (".zst", "events")])
def test_a_broken_archive(tmp_path, suffix, clock, break_, rapport):
    dice = random.Random(5)
    text = b"\n".join(line[:-1] + b',"noise":"%s"}' % dice.randbytes(300).hex().encode() for line in LINES[:2_000])
    packed = zstandard.compress(text) if suffix == ".zst" else gzip.compress(text, 1)
    file = tmp_path / f"shop.ndjson{suffix}"
    options = ("--plan", SHOP, "--clock", clock)

    file.write_bytes(break_(packed))
    complained(ran("replay", file, "--data", tmp_path / "broken", *options), "damaged or cut off", "get a whole copy")
    taken = len(tables(tmp_path / "broken")["fct_event"])
    assert 600 < taken < 1_400

    file.write_bytes(packed)
    last = rapport("replay", file, "--data", tmp_path / "broken", *options, "--json").json
    assert last["read"] == 2_000
    assert last["duplicate"] >= taken
    assert rapport("replay", file, "--data", tmp_path / "whole", *options).code == 0
    without = dict(WALL_TIMES if clock == "wall" else ALWAYS_WALL)
    without["fct_event"] = (*without.get("fct_event", ()), "extra")  # where the noise is, wrong in one line perhaps
    found, good = (tables(tmp_path / name, without) for name in ("broken", "whole"))
    rejected = found.pop("fct_rejected")  # gzip unpacks wrong bytes to wrong lines and notices only at its end
    assert set(good.pop("fct_rejected")) <= set(rejected)
    assert_same(found, good)


def test_garbage_between_good_lines_is_kept_for_a_look_and_harms_nothing(good, tmp_path, rapport):
    garbage = [
        b'{"type":"track","userId":"' + b"x" * 50_000_000 + b'"}',
        random.Random(6).randbytes(5_000).replace(b"\n", b""),
        b"\x00" * 100,
        b"[" * 100_000,
        b'{"type":"track"',
        b"\xff\xfe",
    ]
    file = tmp_path / "garbled.ndjson"
    file.write_bytes(b"\r\n".join([*LINES[:1_500], *garbage, b"", b"   ", *LINES[1_500:]]))
    ended = rapport("replay", file, "--data", tmp_path / "data", *OPTIONS, "--json")
    assert ended.code == 0
    assert ended.json["rejected"] == len(garbage) + len(good["fct_rejected"])
    found, wanted = tables(tmp_path / "data"), dict(good)
    assert len(found.pop("fct_rejected")) == len(wanted.pop("fct_rejected")) + len(garbage)
    facts = [[row[:-2] for row in rows] for rows in (found.pop("fct_event"), wanted.pop("fct_event"))]
    assert facts[0] == facts[1]
    assert_same(found, wanted)
    assert rapport("replay", file, "--data", tmp_path / "data", *OPTIONS, "--strict").code == 1


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (("replay", "missing.ndjson"), ("no such file",), 2),
        (("replay", "plan"), ("is a folder",), 2),
        (("import", "missing.csv", "--sql", "good.sql"), ("no such file",), 2),
        (("import", "table.csv", "--sql", "missing.sql"), ("No such file",), 2),
        (("import", "table.csv", "--sql", "column.sql"), ("`a`", "no event field"), 1),
        (("import", "table.csv", "--sql", "two.sql"), ("one SELECT",), 1),
        (("import", "binary.parquet", "--sql", "good.sql"), ("no Parquet",), 1),
        (("import", "table.xlsx", "--sql", "good.sql"), (".csv",), 1),
        (("replay", "table.csv"), ("delimited text", "rapport import"), 1),
        (("replay", "two.sql", "--plan", "missing"), ("no such plan folder",), 1),
        (("profile", "user_id:nobody"), ("rapport find",), 1),
        (("profile", "nobody"), ("rapport find",), 1),
        (("identity", "explain", "user_id:nobody"), ("rapport find",), 1),
        (("identity", "split", "user_id:nobody", "user_id:u-0001"), ("nobody",), 1),
        (("rejected", "show", "zzz"), ("rapport rejected list",), 1),
        (("query", "DROP TABLE mart.dim_customer"), ("for reading",), 1),
        (("query", "COPY (SELECT 1) TO 'x.csv'"), ("for reading",), 1),
    ],
)
def test_a_wrong_word_is_answered_in_one_line(whole, tmp_path, monkeypatch, arguments, words, code, rapport):
    for name, text in {
        "table.csv": "a,b\n1,2\n",
        "table.xlsx": "",
        "good.sql": "SELECT 'page' AS type, a AS user_id FROM source",
        "column.sql": "SELECT 'page' AS type, a FROM source",
        "two.sql": "SELECT 1; SELECT 2",
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "plan").mkdir()
    (tmp_path / "binary.parquet").write_bytes(bytes(range(256)) * 9)
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    complained(rapport(*arguments, "--data", whole), *words, code=code)
    assert sorted(tmp_path.iterdir()) == before


def test_bad_sql_is_shown_with_its_place(whole, rapport):
    for sql, named in (("SELECT nope FROM dim_customer", "nope"), ("FROM read_csv('/etc/passwd')", "/etc/passwd")):
        ended = rapport("query", sql, "--data", whole)
        assert ended.code == 1
        assert named in ended.err
        assert "Traceback" not in ended.err
        assert all(line.startswith("rapport: ") for line in ended.err.splitlines())


def test_a_plan_with_mistakes_names_all_of_them_and_takes_nothing(events, tmp_path, rapport):
    rules = tmp_path / "plan" / "rules"
    rules.mkdir(parents=True)
    (tmp_path / "plan" / "identity.yaml").write_text("prioritee: [user_id]\n")
    (rules / "a.yaml").write_text("rule: a\nwhen: {evnt: X}\n")
    ended = rapport("replay", events, "--data", tmp_path / "data", "--plan", tmp_path / "plan")
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert "identity.yaml:1:1: `prioritee`" in ended.err
    assert "Did you mean `priority`?" in ended.err
    assert "a.yaml:2:8" in ended.err
    assert not (tmp_path / "data").exists()


def test_an_import_that_fails_halfway_keeps_what_it_had(tmp_path, rapport):
    (tmp_path / "t.csv").write_text("".join(f"{number}\n" for number in ("n", *range(5_000))))
    select = "SELECT 'track' AS type, 'Seen' AS event, 'u' || n AS user_id, {} AS properties FROM source"
    (tmp_path / "bad.sql").write_text(select.format("if(n = 4500, error('boom'), {'n': n})"))
    (tmp_path / "good.sql").write_text(select.format("{'n': n}"))
    complained(rapport("import", tmp_path / "t.csv", "--sql", tmp_path / "bad.sql", "--data", tmp_path / "d"), "boom")
    again = rapport(
        "import", tmp_path / "t.csv", "--sql", tmp_path / "good.sql", "--data", tmp_path / "d", "--json"
    ).json
    assert again["applied"] + again["duplicate"] == 5_000
    assert len(tables(tmp_path / "d")["fct_event"]) == 5_000


# --- the shell ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ("query", "FROM fct_event", "--format", "csv"),
        ("query", "FROM fct_event", "--format", "json"),
        ("query", "FROM fct_event"),
        ("query", "--tables"),
        ("find", "an"),
        ("doctor",),
    ],
)
def test_a_reader_that_has_seen_enough(whole, command):
    with start(*command, "--data", whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read().decode()
        assert process.wait(30) in (0, 1, 128 + signal.SIGPIPE)
    assert "Traceback" not in said
    assert "Exception" not in said


def test_no_standard_streams_at_all(events, data):
    rapport = f"'{sys.executable}' -W error -m rapport"
    for command in (f"query 'FROM fct_event' --data '{data}'", f"replay - --data '{data}'", "no-such-command"):
        with subprocess.Popen(
            f"{rapport} {command} <&- >&-", shell=True, env=ENVIRONMENT, stderr=subprocess.PIPE
        ) as done:
            assert b"Traceback" not in done.communicate(timeout=60)[1]


def test_a_terminal_that_lacks_a_letter(data):
    ended = ran("find", "Köln", "--data", data, env={**ENVIRONMENT, "PYTHONIOENCODING": "ascii"})
    assert ended.code == 0
    assert "K\\xf6ln" in ended.out


@pytest.mark.parametrize("loaded", ["orjson", "_pydantic_core", "rocksdict"])
def test_ctrl_c_before_anything_was_taken(events, tmp_path, loaded):
    """While the command is being loaded: as far as that library, none of Python's own, which may be built in."""
    process = start("replay", events, "--data", tmp_path / "data", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    libraries = Path(f"/proc/{process.pid}/maps")
    while f"/{loaded}." not in libraries.read_text():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)
    assert b"Traceback" not in said


def test_a_folder_with_a_name_of_its_own(events, tmp_path):
    data = tmp_path / 'o\'brien; -- dä "ta"' / "日本"
    ended = ran("replay", events, "--data", data, *OPTIONS, "--json")
    assert ended.code == 0, ended.err
    counted: dict[str, Any] = ran("query", "SELECT count(*) AS n FROM fct_event", "--data", data, "--json").json[0]
    assert counted == {"n": ended.json["applied"]}
