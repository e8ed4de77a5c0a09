"""A cluster of plain processes: probes, metrics, customers asked of the workers, and what the doctor says."""

from __future__ import annotations

import os
import random
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import urlencode

import orjson
import pytest
from kafka import KafkaProducer

from conftest import Rapport
from rapport.customers.by_hand import apart
from rapport.customers.cluster import got
from rapport.demo.broker import Broker
from rapport.demo.cluster import figure, month_until, published, through
from rapport.demo.processes import LocalCluster
from rapport.doctor import cluster as cluster_doctor
from rapport.http.customers import MAX_HOPS
from rapport_shell import ENVIRONMENT, ROOT, SHOP, drill, ran
from schemas.keys import partition_of
from stream.clock import wall_now
from stream.kafka.cluster import Cluster
from stream.kafka.placement import placement

LINES = 4_000
"""The last ones of the month: rules start for those of the last three days."""
WITH_A_TRIGGER = """
SELECT identifier_type || ':' || identifier_value AS key
FROM bridge_identity JOIN fct_trigger USING (profile_id) LIMIT 1
"""


class Shop(NamedTuple):
    """A cluster that has taken part of the demo's month, and the same events embedded."""

    cluster: LocalCluster
    settings: Cluster
    lines: list[bytes]
    applied: int
    embedded: Path

    def ask(self, worker: str, key: str) -> tuple[int, dict[str, Any]]:
        return got(self.cluster.urls[worker], "/profile?" + urlencode({"id": key}))


@pytest.fixture(scope="module")
def shop(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("cluster")
    prefix = f"t{secrets.token_hex(4)}-"
    lines = list(month_until(wall_now(), 7))[-LINES:]
    file = folder / "events.ndjson"
    file.write_bytes(b"\n".join(lines))
    assert ran("replay", file, "--plan", SHOP, "--data", folder / "embedded").code == 0
    with LocalCluster(folder, address=broker.address, prefix=prefix) as cluster:
        cluster.up(SHOP)
        cluster.run("replay", "replay", str(file), "--to", "kafka", "--brokers", broker.address, "--plan", str(SHOP))
        settings = Cluster((broker.address,), folder / "sink", prefix=prefix)
        yield Shop(cluster, settings, lines, through(cluster, len(lines)), folder / "embedded")


@pytest.fixture
def on_kafka(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_TOPIC_PREFIX", shop.settings.prefix)


def identifiers(shop: Shop, count: int) -> list[str]:
    """Keys of customers that events name, a random choice that is always the same."""
    found = set()
    for line in shop.lines:
        try:
            event = orjson.loads(line)
        except ValueError:
            continue
        found |= {
            f"{type_}:{event[name]}"
            for type_, name in (("user_id", "userId"), ("anonymous_id", "anonymousId"))
            if event.get(name)
        }
    real = sorted(key for key in found if "guest" not in key and "-" in key)
    return random.Random(1).sample(real, count)


def without_triggers(customer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in customer.items() if name not in ("triggers", "shadow")}


def test_every_input_is_accounted_for_in_the_metrics(shop: Shop) -> None:
    topics = {"received": "events", "applied": "", "duplicate": "", "rejected": "events"}
    counted = {name: figure(shop.cluster, f"rapport_{name}_total", topic) for name, topic in topics.items()}
    assert counted["received"] == len(shop.lines) == sum(counted.values()) - counted["received"]
    assert counted["applied"] == shop.applied > 0
    for worker in ("worker-1", "worker-2"):
        with urllib.request.urlopen(f"{shop.cluster.urls[worker]}/metrics") as answer:
            shown = answer.read().decode()
        assert 'rapport_event_age_seconds_bucket{lane="lane-' in shown
        assert "rapport_broker_up 1.0" in shown


@pytest.mark.usefixtures("on_kafka")
def test_a_customer_is_the_same_asked_of_any_worker_of_the_cluster_or_embedded(shop: Shop, rapport: Rapport) -> None:
    urls = placement(shop.settings).urls
    homes = {key: partition_of(key, shop.settings.partitions) for key in identifiers(shop, 40)}
    owners = {
        worker: urls[shop.cluster.urls[worker]][shop.settings.topic("events")] for worker in ("worker-1", "worker-2")
    }
    assert all({home in owned for home in homes.values()} == {True, False} for owned in owners.values())
    emails = set()
    for number, key in enumerate(homes):
        status, customer = shop.ask("worker-1", key)
        assert (status, customer) == shop.ask("worker-2", key)
        embedded = rapport("profile", key, "--data", shop.embedded, "--plan", SHOP, "--json").json
        assert without_triggers(embedded) == customer
        emails |= {each["value"] for each in customer["identifiers"] if each["type"] == "email"}
        if number < 3:
            for id_ in (customer["profile_ids"][0], customer["profile_ids"][-1]):
                for worker in ("worker-1", "worker-2"):
                    assert shop.ask(worker, f"profile_id:{id_}") == (200, customer)
            told = rapport("profile", key, "--from", "kafka", "--brokers", *shop.settings.brokers, "--json").json
            assert without_triggers(told) == customer
    for email in sorted(emails)[:10]:
        assert shop.ask("worker-1", f"email:{email.upper()}") == shop.ask("worker-2", f"email:{email}")
    assert emails


@pytest.mark.usefixtures("on_kafka")
def test_the_command_shows_the_card_and_the_published_triggers(shop: Shop, rapport: Rapport) -> None:
    data = shop.cluster.sink_data
    member = rapport("query", WITH_A_TRIGGER, "--data", data, "--json").json[0]["key"]
    asked = ("profile", member, "--from", "kafka", "--brokers", *shop.settings.brokers, "--data", data)
    assert rapport(*asked, "--json").json["triggers"]
    assert "Triggers" in rapport(*asked).text


@pytest.mark.usefixtures("on_kafka")
def test_nobody_is_nobody_in_the_same_words(shop: Shop, rapport: Rapport) -> None:
    cluster = rapport("profile", "user_id:nobody", "--from", "kafka", "--brokers", *shop.settings.brokers)
    embedded = rapport("profile", "user_id:nobody", "--data", shop.embedded)
    assert (cluster.code, cluster.err) == (embedded.code, embedded.err) == (1, embedded.err)


@pytest.mark.parametrize(
    "query", ["", "id=", "id=nocolon", "id=user_id:", "id=a:b&hops=-1", "id=a:b&hops=x", "id=a:b&hops=999"]
)
def test_a_question_that_makes_no_sense_is_refused(shop: Shop, query: str) -> None:
    status, said = got(shop.cluster.urls["worker-1"], f"/profile?{query}")
    assert (status, "TYPE:VALUE" in said["error"]) == (400, True)


def test_a_chain_of_pointers_ends(shop: Shop) -> None:
    """As many hops as are allowed, and nobody is asked any more."""
    key = identifiers(shop, 1)[0]
    assert got(shop.cluster.urls["worker-1"], "/profile?" + urlencode({"id": key, "hops": MAX_HOPS + 1}))[0] == 503


@pytest.mark.usefixtures("on_kafka")
def test_a_healthy_cluster_gets_a_clean_bill(shop: Shop, rapport: Rapport) -> None:
    done = rapport("doctor", "--brokers", *shop.settings.brokers, "--data", shop.cluster.sink_data, "--json")
    verdicts = {finding["check"]: finding["verdict"] for finding in done.json["findings"]}
    assert done.code == 0, done.json
    assert verdicts.keys() >= {
        "brokers",
        "topics",
        "partitions",
        "workers",
        "sinks",
        "lag",
        "stuck",
        "clock",
        "changelog",
    }
    assert {verdict for check, verdict in verdicts.items() if check not in ("plan", "disk")} == {"ok"}, done.json


@pytest.mark.usefixtures("on_kafka")
def test_a_sink_with_another_folder_is_refused(shop: Shop, rapport: Rapport, tmp_path: Path) -> None:
    refused = rapport("sink", "--brokers", *shop.settings.brokers, "--data", tmp_path)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert f"A sink of the group {shop.settings.sink_group} writes to another folder than {tmp_path}" in refused.err


@pytest.mark.usefixtures("on_kafka")
@pytest.mark.parametrize(("ahead", "verdict", "words"), [(100, "fail", "s ahead of"), (-5, "warn", "s behind")])
def test_a_wrong_clock_is_named(
    shop: Shop, rapport: Rapport, monkeypatch: pytest.MonkeyPatch, ahead: float, verdict: str, words: str
) -> None:
    shifted = SimpleNamespace(sleep=time.sleep, monotonic=time.monotonic, time=lambda: time.time() + ahead)
    monkeypatch.setattr(cluster_doctor, "time", shifted)
    done = rapport("doctor", "--brokers", *shop.settings.brokers, "--data", shop.cluster.sink_data, "--json")
    [clock] = [finding for finding in done.json["findings"] if finding["check"] == "clock"]
    assert (clock["verdict"], words in clock["found"]) == (verdict, True), clock
    assert "NTP" in clock["advice"]


@pytest.mark.usefixtures("on_kafka")
def test_two_people_are_taken_apart_as_embedded(shop: Shop, rapport: Rapport) -> None:
    """Once is for good; either command explains it in the same words."""
    a, b = next(both for key in identifiers(shop, 200) if (both := one_of_each(shop.ask("worker-1", key)[1])))
    here = ("--data", shop.embedded, "--plan", SHOP, "--json")
    there = ("--brokers", *shop.settings.brokers, "--data", shop.cluster.sink_data, "--plan", SHOP, "--json")

    def explained() -> list[dict[str, Any]]:
        asked = ("identity", "explain", a.upper().replace("EMAIL", "email"), b)
        told = [rapport(*asked, *here), rapport(*asked, "--from", "kafka", *there)]
        assert [each.code for each in told] == [0, 0], told
        return [
            {**each.json, "links": bool(each.json["links"]), "against": {one["kind"] for one in each.json["against"]}}
            for each in told
        ]

    embedded, cluster = explained()
    assert embedded == cluster
    assert (cluster["same"], cluster["links"]) == (True, True)
    split = rapport("identity", "split", a, b, *here).json
    assert rapport("identity", "split", a, b, "--to", "kafka", *there).json == split
    assert split["a"]["profile_id"] != split["b"]["profile_id"]
    for key in (a, b):
        embedded = rapport("profile", key, *here).json
        assert without_triggers(embedded) == shop.ask("worker-1", key)[1] == shop.ask("worker-2", key)[1]
    assert rapport("identity", "split", a, b, "--yes", "--to", "kafka", *there).json == split
    until = time.monotonic() + 30
    while explained()[1]["against"] != {"split"}:
        assert time.monotonic() < until, explained()
        time.sleep(0.5)
    embedded, cluster = explained()
    assert embedded == cluster
    assert (cluster["same"], cluster["declared_apart"]) == (False, True)


@pytest.mark.usefixtures("on_kafka")
def test_what_people_decide_by_hand_is_the_same_on_a_cluster(shop: Shop, rapport: Rapport) -> None:
    """What must be published before the next can be decided is waited for."""
    found = [shop.ask("worker-1", key)[1] for key in identifiers(shop, 400)]
    pairs = [both for customer in found if (both := one_of_each(customer))]
    a, b = pairs[-1]
    other = next(each for each, _ in pairs if each != a)
    here = ("--data", shop.embedded, "--plan", SHOP, "--json")
    there = ("--brokers", *shop.settings.brokers, "--data", shop.cluster.sink_data, "--plan", SHOP, "--json")

    def decided(*command: str) -> Any:
        embedded = rapport("identity", *command, *here)
        cluster = rapport("identity", *command, "--to", "kafka", *there)
        assert (embedded.code, cluster.code) == (0, 0), (embedded.err, cluster.err)
        assert embedded.json == cluster.json, command
        return cluster.json

    def published(kind: str, key: str) -> None:
        until = time.monotonic() + 30
        log = ("identity", "log", key, "--data", shop.cluster.sink_data, "--json")
        while kind not in {each["kind"] for each in rapport(*log).json[:3]}:
            assert time.monotonic() < until, kind
            time.sleep(0.5)

    (whole,) = decided("unsplit", a, b)["people"]
    assert [each["identifiers"] for each in decided("merge", a, other)["people"]] != [whole["identifiers"]]
    published("merge", a)
    decided("split", a, other)
    published("split", a)
    refused = rapport("identity", "merge", a, other, "--to", "kafka", *there)
    assert (refused.code, "unsplit" in refused.err) == (2, True), refused.err
    assert len(decided("unsplit", a, other)["people"]) == 1
    first, *groups = decided("quarantine", a)["people"]
    assert (first["identifiers"], bool(groups)) == ([a], True)
    published("quarantine", a)
    assert rapport("identity", "explain", a, "--from", "kafka", *there).json["quarantined"] == [a]
    (whole,) = decided("release", a)["people"]
    assert {a, b, other} <= set(whole["identifiers"])


def one_of_each(customer: dict[str, Any]) -> tuple[str, str] | None:
    """An e-mail address and a device of one customer."""
    keys = {each["type"]: f"{each['type']}:{each['value']}" for each in customer["identifiers"]}
    return (keys["email"], keys["anonymous_id"]) if {"email", "anonymous_id"} <= keys.keys() else None


@pytest.mark.parametrize(
    ("of_a", "of_b", "done"),
    [
        (("one", 7), ("one", 7), False),
        (("one", 3), ("two", 0), False),  # the events of the second are on their way
        (("one", 3), ("two", 4), True),
        (("one", 4), ("two", 4), True),  # meanwhile another came
    ],
)
def test_two_are_apart_once_every_event_has_followed(of_a: tuple[str, int], of_b: tuple[str, int], done: bool) -> None:
    def customer(profile_id: str, events: int) -> dict[str, Any]:
        return {"profile_id": profile_id, "event_count": events}

    before = dict.fromkeys("ab", customer("one", 7))
    assert apart({"a": customer(*of_a), "b": customer(*of_b)}, before, "a", "b") is done


@pytest.mark.usefixtures("on_kafka")
@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("split", "user_id:nobody", "user_id:no-one", "--to", "kafka"), 1, "nobody has user_id 'nobody'"),
        (("split", "a:b", "a:b", "--to", "kafka"), 2, "a:b stands on both sides"),
        (("split", "a:b", "a:c", "--to", "elsewhere"), 2, "--to elsewhere: write kafka"),
        (("split", "a:b", "a:c"), 2, "add --to kafka"),
        (("explain", "user_id:nobody", "--from", "kafka"), 1, "nobody has user_id 'nobody'"),
        (("explain", "user_id:nobody"), 2, "add --from kafka"),
    ],
)
def test_who_cannot_be_taken_apart_or_explained(
    shop: Shop, rapport: Rapport, command: tuple[str, ...], code: int, words: str
) -> None:
    told = rapport("identity", *command, "--brokers", *shop.settings.brokers, "--data", shop.cluster.sink_data)
    assert (told.code, words in told.err) == (code, True), told.err


@pytest.mark.usefixtures("on_kafka")
def test_refused_input_goes_in_again_once_its_cause_is_mended(shop: Shop, rapport: Rapport, tmp_path: Path) -> None:
    """What is still refused is not recorded twice."""
    data, to = ("--data", shop.cluster.sink_data), ("--to", "kafka", "--brokers", *shop.settings.brokers)
    card = tmp_path / "card.ndjson"
    card.write_bytes(b'{"type":"track","event":"Swiped","properties":{"card":"c1"},"messageId":"card-1"}\n')
    ended = rapport("replay", card, *to, "--plan", SHOP, "--json")
    assert (ended.code, ended.json["sent"], ended.json["rejected"]) == (1, 0, 1)

    def listed() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = rapport("rejected", "list", "--limit", 100_000, *data, "--json").json
        return found

    until = time.monotonic() + 30
    while not (ids := [each["id"] for each in listed() if each["source"] == card.name]):
        assert time.monotonic() < until
        time.sleep(0.5)
    refused = len(listed())
    again = rapport("rejected", "replay", *to, *data, "--plan", SHOP, "--json").json
    assert (again["sent"], again["rejected"], again["cut"]) == (0, refused, 0)
    plan = tmp_path / "plan"
    plan.mkdir()
    (plan / "identity.yaml").write_text("types:\n  card: {from_properties: [card]}\n")
    mended = rapport("rejected", "replay", ids[0], *to, *data, "--plan", plan, "--json").json
    assert (mended["sent"], mended["rejected"]) == (1, 0)
    while shop.ask("worker-1", "card:c1")[0] != 200:
        assert time.monotonic() < until
        time.sleep(0.5)
    assert len(listed()) == refused
    assert "0 sent to" in rapport("rejected", "replay", *to, *data, "--plan", SHOP).text
    assert rapport("rejected", "discard", ids[0], *to, *data).text == "1 discarded.\n"
    while ids[0] in [each["id"] for each in listed()]:
        assert time.monotonic() < until
        time.sleep(0.5)
    assert len(listed()) == refused - 1
    table, select = tmp_path / "table.csv", tmp_path / "table.sql"
    table.write_text("a,b\n1\n")
    select.write_text("SELECT 'page' AS type, a AS user_id FROM source")
    ended = rapport("import", table, "--sql", select, *to, "--json")
    assert (ended.code, ended.json["sent"], ended.json["rejected"]) == (1, 0, 1)
    until = time.monotonic() + 30
    while "unreadable_row" not in [each["code"] for each in listed()]:
        assert time.monotonic() < until
        time.sleep(0.5)


@pytest.mark.usefixtures("on_kafka")
def test_a_program_sends_its_events_through_a_pipe(shop: Shop, rapport: Rapport) -> None:
    """And those that it wrote to the topic itself say what to do, which takes them in."""
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    program = re.search(r"<!-- pipe: .*?-->\n```python\n(.*?)```", page, re.DOTALL)
    assert program
    brokers, data = shop.settings.brokers, ("--data", shop.cluster.sink_data)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {
        **ENVIRONMENT,
        "PATH": path,
        "RAPPORT_BROKERS": brokers[0],
        "RAPPORT_TOPIC_PREFIX": shop.settings.prefix,
    }
    done = subprocess.run([sys.executable, "-c", program[1]], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    with closing(KafkaProducer(bootstrap_servers=brokers[0])) as producer:
        plain = b'{"type":"track","event":"Product Viewed","userId":"7001","messageId":"view-3"}'
        producer.send(shop.settings.topic("events"), plain, partition=0).get(10)

    def waited(there: Callable[[], Any]) -> Any:
        end = time.monotonic() + 40
        while not (found := there()):
            assert time.monotonic() < end
            time.sleep(0.3)
        return found

    listed = ("rejected", "list", *data, "--json")
    [refused] = waited(lambda: [each for each in rapport(*listed).json if each["stage"] == "record"])
    assert "Send events of your own through `rapport replay - --to kafka`" in refused["expectation"]
    assert rapport("rejected", "replay", refused["id"], "--to", "kafka", "--brokers", *brokers, *data).code == 0
    waited(lambda: shop.ask("worker-1", "user_id:7001")[1].get("event_count") == 4)


@pytest.mark.usefixtures("on_kafka")
def test_the_sinks_folder_comes_back_from_a_backup_and_reads_on(shop: Shop, rapport: Rapport, tmp_path: Path) -> None:
    """As docs/backup.md says, with events that come in between."""
    cluster = shop.cluster
    backup, *restore = drill("the sinks' folder")

    def run(line: str) -> None:
        line = re.sub("^rapport ", f"{sys.executable} -m rapport ", line.replace("tables", "sink"))
        subprocess.run(line, shell=True, check=True, cwd=cluster.folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL)

    def counted() -> list[dict[str, Any]]:
        return published(cluster.sink_data, "SELECT count(*) AS n, count(DISTINCT message_id) AS ids FROM fct_event")

    def until(wanted: Callable[[], bool]) -> None:
        end = time.monotonic() + 40
        while not wanted():
            assert time.monotonic() < end, counted()
            time.sleep(0.3)

    def stop() -> None:
        sink = cluster.take("sink")
        sink.terminate()
        assert sink.wait(20) == 0

    stop()
    run(backup)
    before = counted()[0]["n"]
    cluster.start("sink", "sink")
    more = tmp_path / "since.ndjson"
    more.write_bytes(
        b"\n".join(b'{"type":"track","event":"S","userId":"s-%d","messageId":"since-%d"}' % (n, n) for n in range(50))
    )
    assert rapport("replay", more, "--to", "kafka", "--brokers", *shop.settings.brokers).code == 0
    until(lambda: counted() == [{"n": before + 50, "ids": before + 50}])
    stop()
    for line in restore:
        run(line)
    assert counted() == [{"n": before, "ids": before}]
    cluster.start("sink", "sink")
    until(lambda: counted() == [{"n": before + 50, "ids": before + 50}])


@pytest.mark.usefixtures("on_kafka")
def test_a_killed_workers_customers_are_the_others_soon(shop: Shop) -> None:
    """And the commands learn where they are now."""
    keys = identifiers(shop, 20)
    before = {key: shop.ask("worker-1", key) for key in keys}
    killed = time.monotonic()
    worker = shop.cluster.take("worker-2")
    worker.kill()
    worker.wait()
    while any(shop.ask("worker-1", key)[0] != 200 for key in keys):
        assert time.monotonic() - killed < 40
        time.sleep(0.1)
    assert {key: shop.ask("worker-1", key) for key in keys} == before
    assert list(placement(shop.settings).urls) == [shop.cluster.urls["worker-1"]]


@pytest.mark.usefixtures("on_kafka")
def test_without_workers_the_doctor_names_what_stands_still(shop: Shop, rapport: Rapport) -> None:
    """Last in this file: it stops the workers, which leave in time and well; what is sent then waits."""
    stopped = time.monotonic()
    workers = [shop.cluster.take(name) for name in shop.cluster.running("worker")]
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    assert {worker.wait(10) for worker in workers} == {0}
    assert time.monotonic() - stopped < 10
    more = shop.cluster.folder / "more.ndjson"
    more.write_bytes(b'{"type":"track","event":"A","userId":"u-1","messageId":"more-1"}\n')
    assert rapport("replay", more, "--to", "kafka", "--brokers", *shop.settings.brokers).code == 0
    done = rapport("doctor", "--brokers", *shop.settings.brokers, "--data", shop.cluster.sink_data, "--json")
    found = {finding["check"]: finding for finding in done.json["findings"]}
    assert done.code == 1
    assert (found["workers"]["verdict"], found["workers"]["advice"]) == ("fail", "start one: rapport worker")
    assert found["stuck"]["verdict"] == "fail"
    [lag, _] = [finding["found"] for finding in done.json["findings"] if finding["check"] == "lag"]
    assert re.fullmatch(r"workers: \d+ events behind, the oldest for \d+ s, most in events", lag), lag
    assert f"{shop.settings.topic('events')}/" in found["stuck"]["found"], "each of its partitions has a mark waiting"
    gone = rapport("profile", "user_id:u-1", "--from", "kafka", "--brokers", *shop.settings.brokers)
    assert (gone.code, "start one" in gone.err) == (1, True)


def test_the_doctor_says_that_no_broker_is_there(rapport: Rapport, tmp_path: Path) -> None:
    done = rapport("doctor", "--brokers", "127.0.0.1:9", "--data", tmp_path, "--json")
    assert done.code == 1
    assert done.json["findings"][-1]["check"] == "brokers"
    assert "127.0.0.1:9" in done.json["findings"][-1]["found"]


def test_from_says_what_it_takes(rapport: Rapport) -> None:
    assert "local or kafka" in rapport("profile", "a:b", "--from", "mars").err
    assert "--from kafka" in rapport("profile", "a:b", "--brokers", "x:1").err
    assert rapport("profile", "a:b", "--from", "kafka").code == 2
