"""`make cluster`: a cluster of this machine's own, with the demo's month running through it, moved so that it ends now.

It shows where to look and goes down cleanly on Ctrl-C or SIGTERM, also while it is still coming up. Its data lies in a
temporary folder and goes with it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from rapport.demo.processes import RAPPORT, Failed, Interrupted, LocalCluster
from rapport.demo.shop import Month
from rapport.demo.shop_world import DAYS, START
from rapport.demo.tour import plan_of_shop
from rapport.process.signals import Stop
from rapport.terminal import output
from schemas.instant import DAY, parse, render
from stream.clock import wall_now

HELP = "A Kafka cluster of this machine with the demo running through it, until Ctrl-C."
SEED = 1


def month_until(now: int, seed: int) -> Iterator[bytes]:
    """The demo's month, moved so that it ends now; what of it would lie in the future has not happened yet."""
    by = now - (START + DAYS * DAY)
    for line in Month(seed).lines():
        at = _time_of(line)
        if at is None:
            yield line
        elif at + by <= now:
            yield orjson.dumps({**orjson.loads(line), "timestamp": render(at + by)})


def _time_of(line: bytes) -> int | None:
    try:
        return parse(orjson.loads(line)["timestamp"])
    except (ValueError, LookupError, TypeError):
        return None


def published(data: Path, sql: str) -> list[dict[str, Any]]:
    """The rows of a query to what a sink has published; none where nothing is."""
    command = [*RAPPORT, "query", sql, "--json", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, check=False, start_new_session=True)
    rows: list[dict[str, Any]] = orjson.loads(done.stdout) if done.returncode == 0 else []
    return rows


def through(cluster: LocalCluster, sent: int) -> int:
    """Waits until as many lines as were sent are taken, and what they did is published; gives the events applied."""
    while True:
        cluster.check()
        if figure(cluster, "rapport_received_total", "events") >= sent:
            applied = figure(cluster, "rapport_applied_total")
            rows = published(cluster.sink_data, "SELECT count(*) AS events FROM mart.fct_event")
            if rows and rows[0]["events"] == applied:
                return int(applied)
        time.sleep(0.3)


def figure(cluster: LocalCluster, metric: str, topic: str = "") -> float:
    """The sum of a metric over all lanes of all workers, perhaps of one topic alone."""
    label = f'topic="{topic}"' if topic else ""
    total = 0.0
    for name, url in cluster.urls.items():
        if name.startswith("worker"):
            with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
            found = [line for line in lines if line.partition("{")[0] == metric and label in line]
            total += sum(float(line.rpartition(" ")[2]) for line in found)
    return total


COUNTED = """
SELECT (SELECT count(*) FROM mart.dim_customer) AS customers, (SELECT count(*) FROM mart.fct_trigger) AS triggers,
       (SELECT count(*) FROM mart.fct_rejected) AS rejected
"""
LIKELY = """
SELECT user_id FROM mart.dim_customer WHERE user_id IS NOT NULL ORDER BY event_count DESC LIMIT 1
"""


def where_to_look(cluster: LocalCluster) -> Iterable[str]:
    """What to try, line by line."""
    user = published(cluster.sink_data, LIKELY)[0]["user_id"]
    rapport = "rapport" if shutil.which("rapport") else f"{sys.executable} -m rapport"
    yield f"broker     {cluster.address}"
    for name, url in cluster.urls.items():
        yield f"{name:<10} {url}/ready  {url}/metrics"
    yield f"logs       {cluster.folder}"
    yield "Try, from another terminal:"
    yield f"  {rapport} profile --from kafka user_id:{user} --brokers {cluster.address}"
    yield f"  {rapport} doctor --brokers {cluster.address}"
    yield f'  {rapport} query "FROM mart.fct_trigger LIMIT 10" --data {cluster.sink_data}'
    yield kill_line(cluster, "worker-1")


def kill_line(cluster: LocalCluster, name: str) -> str:
    """What to type to see that a crash loses nothing."""
    return f"  kill -9 {cluster.pid_of(name)}   # {name}: the others take over, it is started again, nothing is lost"


def main(arguments: Sequence[str]) -> int:
    """Runs until it is told to stop."""
    options = argparse.ArgumentParser(prog="python -m rapport.demo.cluster", description=HELP)
    options.add_argument("--brokers", default="", metavar="HOST:PORT", help="a broker that runs already")
    options.add_argument("--once", action="store_true", help="stop when everything is through")
    asked = options.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="rapport-cluster-"))
    with Stop() as stop:
        try:
            with LocalCluster(folder, lambda: bool(stop), asked.brokers) as cluster:
                _show(cluster, asked.once)
        except Interrupted:
            output.show("Stopped.")
        except Failed as error:
            output.complain(str(error))
            return 1
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return 0


def _show(cluster: LocalCluster, once: bool) -> None:
    output.show("Starting a broker, topics, two workers and a sink ...")
    started = time.monotonic()
    cluster.up(plan_of_shop())
    output.show(f"Up after {time.monotonic() - started:.1f} s. Sending the demo's month, as if it ended now ...")
    events = cluster.folder / "events.ndjson"
    lines = list(month_until(wall_now(), SEED))
    events.write_bytes(b"\n".join(lines))
    plan = str(plan_of_shop())
    cluster.run("replay", "replay", str(events), "--to", "kafka", "--brokers", cluster.address, "--plan", plan)
    applied = through(cluster, len(lines))
    counted = published(cluster.sink_data, COUNTED)[0]
    output.show(
        f"{applied:,} events applied, {counted['customers']:,} customers, {counted['triggers']:,} triggers "
        f"(of the last three days: history starts nothing), {counted['rejected']:,} rejected.",
        *where_to_look(cluster),
        "Ctrl-C takes it all down.",
    )
    while not once:
        for name, code in cluster.start_again():
            output.show(f"{name} ended with {code} and is started again. Once more:", kill_line(cluster, name))
        cluster.check()
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
