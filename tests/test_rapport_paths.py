"""A path is a path, never a pattern: whatever a data folder is called, exactly that folder is read and written."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from sinks.columns.rows import record_batch
from sinks.lake.chain import Chain
from sinks_samples import event
from stream.embedded.store import LAKE, PUBLISHED

COUNT = "SELECT identifier_value AS who, count(*) AS n FROM fct_event GROUP BY ALL"


def stored(data: Path, source: str = "") -> None:
    """The lake of a run, or of a sink, with an event that names its folder."""
    chain = Chain(data / LAKE, "facts", 0, source)
    chain.append(0, 1, record_batch("facts", [event(f"user_id:{data.name}", message_id="m")]))
    chain.flush()


@pytest.mark.parametrize(
    ("name", "neighbour"),
    [("data[1]", "data1"), ("q?*", "qaz"), ("a\\b [*]", "a\\b b"), ("[!a] it's {x,y}", "b it's {x,y}")],
)
def test_only_that_folder_is_read(rapport, ndjson, tmp_path, name, neighbour):
    data = tmp_path / name
    stored(tmp_path / neighbour)
    lines = ({"type": "track", "event": "A", "userId": name, "messageId": f"m{number}"} for number in range(2))
    assert rapport("replay", ndjson("a.ndjson", *lines), "--data", data).code == 0
    asked = ("query", COUNT, "--data", data, "--json")
    assert rapport(*asked).json == [{"who": name, "n": 2}]
    assert rapport("compact", "--data", data, "--json").json["files_after"] > 0
    assert rapport("publish", "--data", data, "--json").json["events"] == 2
    assert rapport(*asked).json == [{"who": name, "n": 2}]
    found = rapport("doctor", "--data", data, "--json").json["findings"]
    assert [each for each in found if each["verdict"] != "ok"] == []
    outside = rapport("query", f"FROM read_blob('{tmp_path}/a.ndjson')", "--data", data)
    assert (outside.code, outside.out) == (1, b"")
    assert {path.name for path in tmp_path.iterdir()} == {name, neighbour, "a.ndjson"}


def test_other_tools_read_that_folder_too(rapport, tmp_path):
    for name in ("data1", "data[1]"):
        stored(tmp_path / name, "facts")
        assert rapport("publish", "--data", tmp_path / name, "--json").json["events"] == 1
    with duckdb.connect(str(tmp_path / "data[1]" / PUBLISHED), read_only=True) as other_tool:
        assert other_tool.execute(f"USE mart; {COUNT}").fetchall() == [("data[1]", 1)]
