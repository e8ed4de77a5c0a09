"""Keys, partitions, profile ids and stored bytes are promises: what was stored once must be found and read for ever.

The vectors lie in `data/golden_*.json`. Keys must never change. Rows may gain fields in a new layout version; then
`python tests/test_schemas_golden.py` writes the file of the new version; those of old ones are kept and still read.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any
from uuid import uuid5

import orjson
import pytest

from profiles import view
from profiles.component import LAYOUT as COMPONENT_LAYOUT
from profiles.component import decode_component, encode_component
from profiles.facets import merge_history, merge_traits
from profiles.linker import Linker
from profiles.orders import merge_order, told
from profiles.row import LAYOUT, Row
from profiles.rows import Rows
from profiles.settings import DEFAULT
from profiles.totals import Totals, lines_of
from rules.load import load_rules
from schemas import codec, keys
from schemas.messages import (
    Absorb,
    Admit,
    AliasLookup,
    Dropped,
    EndQuarantine,
    Event,
    Forward,
    Link,
    MakeRoot,
    Merge,
    Piece,
    Quarantine,
    Redirect,
    Rejected,
    Release,
    SourceMark,
    Split,
    Transfer,
    Unsplit,
    Wake,
)
from stream.core.plan import Plan
from stream.core.waits import RULES, WATERMARK
from stream.simulation.broker import Memory
from stream.simulation.simulator import Simulator

DATA = Path(__file__).parent / "data"
KEYS: dict[str, Any] = json.loads((DATA / "golden_keys.json").read_text())
ROWS_FILES = sorted(DATA.glob("golden_rows_*.json"))
"""By the layout of identifiers' rows."""


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", KEYS["murmur2"], ids=lambda vector: vector["text"][:20])
def test_murmur2_is_kafkas(vector: dict[str, Any]) -> None:
    """Kafka's own vectors (UtilsTest.testMurmur2), which are signed."""
    assert keys.murmur2(vector["text"].encode()) == vector["hash"] % 2**32


@pytest.mark.parametrize("vector", KEYS["keys"], ids=lambda vector: ascii(vector["value"])[:20])
def test_keys(vector: dict[str, Any]) -> None:
    key = keys.key_of(vector["type"], vector["value"])
    assert key == vector["key"]
    assert keys.split_key(key) == (vector["type"], unicodedata.normalize("NFC", vector["value"]))
    assert {p: keys.partition_of(key, int(p)) for p in vector["partitions"]} == vector["partitions"]
    assert keys.profile_id(key) == vector["profile_ids"][0]


def test_both_unicode_forms_of_a_value_are_one_identifier() -> None:
    composed, decomposed = (unicodedata.normalize(form, "zoë@müller.example") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert keys.key_of("email", composed) == keys.key_of("email", decomposed)


def test_a_profile_id_is_a_uuid5_of_the_key() -> None:
    for vector in KEYS["keys"]:
        assert vector["profile_ids"][0] == str(uuid5(keys.NAMESPACE, vector["key"]))
        assert vector["profile_ids"][1] == str(uuid5(keys.NAMESPACE, vector["key"] + "\0" + "1"))


# --- rows and lines ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=ROWS_FILES, ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(request.param.read_text())
    return {**stored, "layout": int(request.param.stem.rpartition("_")[2])}


@pytest.fixture(scope="module")
def store(golden: dict[str, Any]) -> Memory:
    return Memory({key.encode("latin-1"): value.encode("latin-1") for key, value in golden["rows"].items()})


def test_every_layout_has_its_file(golden: dict[str, Any]) -> None:
    layouts = {orjson.loads(row.partition("\n")[0])[0] for key, row in golden["rows"].items() if key[0] == "i"}
    assert layouts == {golden["layout"]}
    assert [path.name for path in ROWS_FILES] == [f"golden_rows_{number}.json" for number in range(1, LAYOUT + 1)]


def test_rows_of_every_kind_are_there(store: Memory) -> None:
    assert {key[:1] for key in store if key not in (RULES, WATERMARK)} == {bytes((kind,)) for kind in b"ichtofmwlnr#"}


def test_rows_decode_and_encode_to_the_same_bytes(store: Memory) -> None:
    def row(key: bytes, value: bytes) -> bytes:
        found = Row.decode(key[1:].decode(), value)
        unchanged = found.encode()
        found.frame = None
        changed = found.encode()
        assert _held(Row.decode(found.key, changed)) == _held(found)
        return changed if value.startswith(b"[%d," % LAYOUT) else unchanged

    def component(_: bytes, value: bytes) -> bytes:
        found = decode_component(value)
        assert not found.settled or Totals.of(found.settled).encode() == found.settled
        assert encode_component(found).startswith(b"[%d]\n" % COMPONENT_LAYOUT)
        return value.partition(b"\n")[0] + b"\n" + found.encode()

    def order(_: bytes, value: bytes) -> bytes:
        again = merge_order(value, b"{}")
        assert told(again) == told(value)
        return again if value.startswith(b"{") else value

    again = {
        b"i": row,
        b"c": component,
        b"h": lambda _, value: value if lines_of(merge_history(value, b"[]")) == lines_of(value) else b"",
        b"t": lambda _, value: merge_traits(value, b"{}"),
        b"o": order,
        b"f": lambda _, value: orjson.dumps(orjson.loads(value)),
    }
    for key, value in store.items():
        if key[:1] in again:
            assert again[key[:1]](key, value) == value, key


def _held(row: Row) -> list[Any]:
    values = {name: getattr(row, name) for name in Row.__slots__ if name not in ("component", "frame")}
    return [*values.items(), row.component and row.component.encode()]


def test_the_rows_still_mean_the_same_people(golden: dict[str, Any], store: Memory) -> None:
    rows, linker = Rows(store), Linker(store, DEFAULT)
    for root, shown in golden["profiles"].items():
        found = rows.find(root)
        assert found is not None
        assert as_then(view.profile(rows, found), shown) == shown
    for key, (root, members) in golden["clusters"].items():
        assert linker.person(key) == (root, tuple(members))


def as_then(shown: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    """A profile without what orders did not tell then."""
    orders, before = shown["orders"], then["orders"]
    last = [{name: order[name] for name in known} for order, known in zip(orders["last"], before["last"], strict=True)]
    return {**shown, "orders": {**{name: orders[name] for name in before}, "last": last}}


def test_a_message_id_is_still_known_and_a_wake_still_found(golden: dict[str, Any], store: Memory) -> None:
    simulator = Simulator(_plan(), partitions=1)
    simulator.lanes[0].store.update({key: value for key, value in store.items() if key[:1] not in b"lnr#"})
    simulator.lanes[-1].store.update({key: value for key, value in store.items() if key[:1] in b"lnr#"})
    simulator.play(_events())
    assert (len(simulator.outputs.facts), simulator.outputs.duplicate) == (0, len(_events()))
    simulator.advance(T + 4 * HOUR)
    assert [[each.rule, each.run_key] for each in simulator.outputs.triggers] == golden["due"]


def test_lines_decode_and_encode_to_the_same_bytes(golden: dict[str, Any]) -> None:
    """Lines of an earlier version may lack what was added since; they mean the same with it."""
    newest = golden["layout"] == LAYOUT
    assert set(golden["lines"]) <= set(codec._KINDS)
    assert not newest or set(golden["lines"]) == set(codec._KINDS)
    for kind, line in golden["lines"].items():
        message = codec.decode(line.encode())
        assert isinstance(message, codec._KINDS[kind])
        again = codec.encode(message)
        assert again.decode() == line if newest else codec.decode(again) == message


def test_a_row_keeps_what_a_later_version_appended(store: Memory) -> None:
    for key, value in store.items():
        if key[:1] == b"i":
            head, *tail = value.split(b"\n")
            later = b"\n".join((orjson.dumps([*orjson.loads(head), {"tier": "gold"}, 9]), *tail))
            row = Row.decode(key[1:].decode(), later)
            row.frame = None
            assert orjson.loads(row.encode().split(b"\n")[0])[-2:] == [{"tier": "gold"}, 9]


# --- how the vectors were made ----------------------------------------------------------------------------------------

T = 1_772_445_600_000_000
HOUR = 3_600_000_000
_RULES = """
rule: cart
owner: tests
status: live
purpose: proof
when: {event: Cart Updated, not_followed_by: {event: Order Completed}, within: 1h, key: cart_id}
then: [{send: email, template: cart}]
"""


def _plan() -> Plan:
    return Plan(rules=load_rules({"cart.yaml": _RULES}))


def _event(number: int, at: int, keys_: tuple[str, ...], type_: str, name: str, **fields: Any) -> Event:
    body = {"type": type_, "messageId": f"m{number}", "context": {"device": {"id": "d1", "model": "X"}}, **fields}
    values = (keys_, f"m{number}", type_, name, "web", at, at, at, "golden", None, (Dropped("email", "", "blocked"),))
    return Event(*values, body, number)


def _events() -> list[Event]:
    user, mail, phone = "user_id:zoë", "email:zoë@example.com", "phone:+4915112345678"
    money = {"order_id": "o1", "total": "19.90", "currency": "EUR"}
    events = [
        _event(1, T, (mail, "anonymous_id:x"), "identify", "identify", traits={"city": "Köln", "age": 40}),
        _event(2, T + 1, (mail,), "track", "Cart Updated", properties={"cart_id": "c0"}),
        _event(3, T + HOUR * 2, (mail,), "track", "Order Completed", properties=money),
        _event(4, T + HOUR * 2 + 1, (user, mail), "track", "Order Refunded", properties={**money, "total": "9.95"}),
        _event(5, T + HOUR * 2 + 2, (user, phone), "group", "group", groupId="g1"),
        _event(6, T + HOUR * 2 + 3, ("user_id:2", mail), "page", "page"),
        _event(7, T + HOUR * 2 + 4, ("anonymous_id:x",), "track", "Cart Updated", properties={"cart_id": "c1"}),
    ]
    return events + [_event(n, T + HOUR * 2 + n, (mail,), "screen", "screen") for n in range(10, 30)]


def _made() -> dict[str, Any]:
    """Rows, lines and meanings as this version writes them."""
    simulator = Simulator(_plan(), partitions=1)
    simulator.play(_events())
    simulator.request(Split(("user_id:zoë",), ("phone:+4915112345678",), simulator.now))
    simulator.advance(simulator.now)
    rejected = Rejected(T, "accept", "not_utf8", "", "", "UTF-8", "golden", b"\xff\xfe", 2, "", "r1-1")
    piece = Piece("email:a", (("c", "[1,[]]"), ("oO-1", "[]")))
    outputs = simulator.outputs
    messages = (
        _events()[0],
        Forward("user_id:zoë", _events()[0], 1),
        Transfer("user_id:zoë", (piece,), 1, T, True),
        Admit("user_id:1", ("email:a",), 1),
        Absorb("email:a", "user_id:1", 1),
        Redirect("email:a", "user_id:1", 1),
        MakeRoot("email:a", ("email:a",), 2),
        Release("user_id:1", ("email:a",), "email:a", 2),
        AliasLookup("anonymous_id:x", "user_id:x", "user_id:1", "m1", T),
        Wake("user_id:1", T, T - HOUR, (3,)),
        SourceMark("9f2c", True, T),
        Link("user_id:1", "email:a", "m1", T),
        Split(("user_id:1",), ("email:a",), T),
        Merge("user_id:1", "email:a", T),
        Unsplit("user_id:1", "email:a", T),
        Quarantine("email:a", (("user_id:1",), ("anonymous_id:x", "phone:+4915112345678")), T),
        EndQuarantine("email:a", T),
        outputs.triggers[0],
        outputs.decisions[0],
        outputs.identity[0],
        rejected,
    )
    rows = {**simulator.lanes[0].store, **simulator.lanes[-1].store}
    pending = Simulator(_plan(), partitions=1)
    for name in (0, -1):
        pending.lanes[name].store.update(simulator.lanes[name].store)
    pending.advance(T + 4 * HOUR)
    return {
        "lines": {codec._NAMES[type(message)]: codec.encode(message).decode() for message in messages},
        "rows": {key.decode("latin-1"): value.decode("latin-1") for key, value in sorted(rows.items())},
        "profiles": simulator.profiles(),
        "clusters": {key: simulator.linker().person(key) for key in ("email:zoë@example.com", "phone:+4915112345678")},
        "due": [(each.rule, each.run_key) for each in pending.outputs.triggers],
    }


if __name__ == "__main__":
    newest = DATA / f"golden_rows_{LAYOUT}.json"
    newest.write_text(json.dumps(_made(), indent=1, ensure_ascii=False) + "\n")
