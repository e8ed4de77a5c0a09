"""One worker process for all scenarios: `kafka_scenario_workers.py ADDRESS PREFIX FOLDER`, until it is told to end.

Each scenario has topics, a plan, lanes and a clock of its own, as if it had this worker to itself; only the process and
its event loop are shared, because starting a process takes longer than playing a scenario.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from rapport.process.logs import speak_plainly
from stream.kafka.cluster import Cluster
from stream.kafka.worker import Worker, build_app
from stream_scenarios import files, load

PARTITIONS = 2
CLOCKS = "clocks"
"""The folder, beside those of the workers, that has a file with an instant for each scenario."""


def cluster_of(scenario: str, address: str, prefix: str, data: Path) -> Cluster:
    """The scenario's own topics."""
    return Cluster((address,), data / scenario, prefix=f"{prefix}{scenario}-", partitions=PARTITIONS)


async def work(address: str, prefix: str, folder: Path) -> None:
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    apps = [_app(path, address, prefix, folder) for path in files()]
    await asyncio.gather(*(app.start() for app in apps))
    await asked.wait()
    await asyncio.gather(*(app.lanes.finish() for app in apps))
    await asyncio.gather(*(app.stop() for app in apps))


def _app(path: Path, address: str, prefix: str, folder: Path) -> Worker:
    clock = folder.parent / CLOCKS / path.stem
    cluster = cluster_of(path.stem, address, prefix, folder)
    cluster.data.mkdir(parents=True, exist_ok=True)
    return build_app(cluster, load(path).plan, lambda: int(clock.read_text()))


if __name__ == "__main__":
    speak_plainly()
    asyncio.run(work(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
