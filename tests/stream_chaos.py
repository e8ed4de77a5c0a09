"""Chaos: a crowd's events go in while workers, sinks and the broker fail; nothing is lost and nothing doubled.

Faults are data: a seed gives the crowd and a list of what happens to whom after which share of the input. Seconds are
the machine's own, so a seed repeats the faults and their places, not the microsecond in which each strikes.

    python tests/stream_chaos.py --events 300000 --seed 7      # or RAPPORT_SEED=7
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import stream_crowd
from kafka_faulty import DIE, MUTANT
from rapport.demo.broker import Broker, start_broker
from schemas import codec
from schemas.errors import ClusterError
from schemas.instant import SECOND
from schemas.topics import OUTPUTS
from sinks_topics import caught_up, ends, leave_published
from stream.embedded.store import LAKE, PUBLISHED
from stream.kafka.producer import Feed, feeding
from stream.kafka.worker import EXIT_FAILED, SESSION_TIMEOUT
from stream_cluster import ENVIRONMENT, Workers, until
from stream_crowd import Crowd
from stream_verdict import breaches

PARTITIONS = 6
"""Faust's assignor gives a worker at most the mean, rounded up: with four, the third worker would get none."""
FAULTY = Path(__file__).with_name("kafka_faulty.py")
FROZEN = SESSION_TIMEOUT + 3.0
"""Seconds: the group gives up a member before."""
AWAY, LONG_AWAY = 4.0, 60.0
"""Seconds without a broker; the second time in a run is the long one."""
FED = 400
"""Events between two looks at the schedule."""
PAUSES = (0.1, 0.4)
"""Seconds between two such, so that faults meet a cluster at work."""
AGAIN_AFTER = 1.0
"""Seconds until whoever runs the processes starts one again."""
ROUND = 60_000
"""Events for one round of all faults."""
FIRST_WORKERS = ("worker-1", "worker-2", "worker-3")
SINKS = ("sink-1", "sink-2")
KINDS = ("kill", "term", "freeze", "lose", "join", "leave", "broker", "sink", "sink-kill")
ENDINGS = {0, EXIT_FAILED, -signal.SIGKILL, -signal.SIGTERM, ClusterError.exit_code}
"""How a process may end here; the last two where it is only starting, the very last while the broker is away."""


class Fault(NamedTuple):
    """What happens once this share of the input has been fed."""

    at: float
    kind: str
    who: int
    """Among those there are, in order of their names."""


def schedule(seed: int, events: int) -> list[Fault]:
    """Every kind of fault once for each `ROUND` of events, at least once, in random order."""
    chance = random.Random(f"chaos {seed}")
    kinds = [kind for _ in range(max(1, events // ROUND)) for kind in chance.sample(KINDS, len(KINDS))]
    room = 0.92 / len(kinds)
    return [
        Fault(round(0.04 + room * (place + chance.uniform(0, 0.8)), 4), kind, chance.randrange(60))
        for place, kind in enumerate(kinds)
    ]


@dataclass
class Diary:
    """What happened in a run."""

    faults: list[str] = field(default_factory=list)
    endings: Counter[str] = field(default_factory=Counter)
    """How processes ended: `worker 70`."""
    wrong: list[str] = field(default_factory=list)
    """Endings that nothing explains."""
    memory: int = 0
    """The most bytes that a process had in memory."""


class Cluster(Workers):
    """Workers and sinks that fail, and somebody who starts what has ended. Say what is wanted with `want`."""

    def __init__(self, broker: Broker, prefix: str, folder: Path, partitions: int = PARTITIONS) -> None:
        super().__init__(broker.address, prefix, folder, partitions, stream_crowd.plan_in(folder / "plan"))
        self.broker = broker
        self.diary = Diary()
        self._wanted: set[str] = set()
        self._frozen: dict[str, float] = {}
        """Who, and until when."""
        self._start_at: dict[str, float] = {}
        self._back_at = 0.0
        """When the broker is to return; 0 while it is there."""
        self._breaks = 0
        self._began = time.monotonic()

    @property
    def lake(self) -> Path:
        return self.data("sink") / LAKE

    @property
    def published(self) -> Path:
        return self.data("sink") / PUBLISHED

    def command(self, name: str) -> list[str]:
        if name in SINKS:
            told = [*self.cluster.brokers, self.cluster.prefix, str(self.cluster.partitions), str(self.data("sink"))]
            return [str(FAULTY), "sink", *told]
        _, *told = super().command(name)
        return [str(FAULTY), "worker", *told]

    def want(self, *names: str) -> None:
        self._wanted.update(names)
        for name in names:
            self.start(name)

    @property
    def away(self) -> bool:
        """Whether there is no broker."""
        return self._back_at > 0

    def workers(self) -> list[str]:
        """Those that are wanted and not frozen."""
        return sorted(self._wanted - {*SINKS, *self._frozen})

    # --- faults -----------------------------------------------------------------------------------------------------

    def strike(self, fault: Fault) -> None:
        """Lets it happen. What ends by itself does so in `tend`."""
        workers = self.workers()
        who = workers[fault.who % len(workers)]
        sink = SINKS[fault.who % len(SINKS)]
        strikes: dict[str, Callable[[], str]] = {
            "kill": lambda: self._kill(who),
            "lose": lambda: self._lose(who),
            "term": lambda: self._term(who),
            "freeze": lambda: self.freeze(who),
            "join": self._join,
            "leave": lambda: self._leave(who),
            "broker": self._break,
            "sink": self._die,
            "sink-kill": lambda: self._kill(sink),
        }
        name = strikes[fault.kind]()
        said = f"{time.monotonic() - self._began:6.1f} s  {fault.at:6.1%}  {fault.kind:<9}  {name}"
        self.diary.faults.append(said)
        print(said, flush=True)

    def _signal(self, name: str, signum: signal.Signals) -> str:
        process = self.processes.get(name)
        if process is not None and process.poll() is None:
            process.send_signal(signum)
        return name

    def _kill(self, name: str) -> str:
        return self._signal(name, signal.SIGKILL)

    def _lose(self, name: str) -> str:
        self._kill(name)
        if process := self.processes.get(name):
            process.wait()
        shutil.rmtree(self.data(name), ignore_errors=True)
        return name

    def _term(self, name: str) -> str:
        return self._signal(name, signal.SIGTERM)

    def freeze(self, name: str, seconds: float = FROZEN) -> str:
        """Beyond the session; `tend` thaws it."""
        self._frozen[name] = time.monotonic() + seconds
        return self._signal(name, signal.SIGSTOP)

    def _join(self) -> str:
        workers = (self._wanted | self.processes.keys()) - {*SINKS}  # who has been told to leave may be still here
        name = f"worker-{1 + max(int(each.rpartition('-')[2]) for each in workers)}"
        self.want(name)
        return name

    def _leave(self, name: str) -> str:
        if len(self.workers()) > 1:
            self._wanted.discard(name)
        return self._term(name)

    def _break(self) -> str:
        if not self.away:
            self._breaks += 1
            self.break_broker(LONG_AWAY if self._breaks == 2 else AWAY)
        return "broker"

    def break_broker(self, seconds: float) -> None:
        """`tend` brings it back."""
        self.broker.kill()
        self._back_at = time.monotonic() + seconds

    def _die(self) -> str:
        """Whichever sink next has a file to write."""
        self.data("sink").mkdir(exist_ok=True)
        (self.data("sink") / DIE).touch()
        return "a sink, between file and manifest"

    # --- looking after it -------------------------------------------------------------------------------------------

    def tend(self) -> None:
        """Ends faults whose time is over, and starts again what has ended and is wanted."""
        now = time.monotonic()
        if self.away and now >= self._back_at:
            self.broker.restart()
            self._back_at = 0.0
        for name, until_ in list(self._frozen.items()):
            if now >= until_:
                del self._frozen[name]
                self._signal(name, signal.SIGCONT)
        for name, process in list(self.processes.items()):
            if (code := process.poll()) is None:
                self.diary.memory = max(self.diary.memory, resident(process.pid))
                continue
            del self.processes[name]
            self._frozen.pop(name, None)
            self.diary.endings[f"{name.partition('-')[0]} {code}"] += 1
            if code not in ENDINGS:
                self.diary.wrong.append(f"{name} ended with {code}: {self._last_words(name)}")
            self._start_at[name] = now + AGAIN_AFTER
        for name in self._wanted - self.processes.keys():
            if now >= self._start_at.get(name, 0.0):
                self.start(name)

    def whole(self) -> None:
        """Until every fault is over."""
        until(lambda: self.tend() or not (self._frozen or self.away), "all faults are over")

    def calm(self) -> None:
        """Until every fault is over, everything has been taken, and whoever is wanted runs."""
        self.whole()
        self.settled()
        until(lambda: self.tend() or self._wanted <= self.processes.keys(), "whoever ended has started again")

    # --- a whole run ------------------------------------------------------------------------------------------------

    def run(self, crowd: Crowd, faults: list[Fault], chance: random.Random) -> None:
        """Feeds the crowd, phase by phase, and lets the faults strike."""
        due, fed = list(reversed(faults)), 0
        for phase in crowd.phases:
            self.pass_time(phase.now)
            self.raw("links", 0, *map(codec.encode, phase.splits))
            with feeding(self.cluster) as feed:
                for chunk in stream_crowd.chunks(phase.inputs, FED):
                    self.take(feed, chunk)
                    fed += len(chunk)
                    while due and due[-1].at * crowd.events <= fed:
                        self.strike(due.pop())
                    time.sleep(chance.uniform(*PAUSES))
                    self.tend()
                self.whole()
                feed.finish()
            self.calm()
            print(f"{time.monotonic() - self._began:6.1f} s  {fed:,} of {crowd.events:,} events taken", flush=True)

    def take(self, feed: Feed, inputs: Iterable[stream_crowd.Input]) -> None:
        """Sends them, and tends: a feed that is full waits for the broker, which only `tend` brings back."""

        def send() -> None:
            feed.send(inputs)
            feed.push()

        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(send)
            while not wait([sent], timeout=0.05).done:
                self.tend()
        sent.result()

    def expire(self, crowd: Crowd, triggers: int, patience: float = 30) -> None:
        """Lets the rest of the time pass, until all timers have had their time to fire, or for so many seconds."""
        now, end = crowd.end, time.monotonic() + patience
        self.set_clock(now)
        while len(self.messages("triggers")) < triggers and time.monotonic() < end:
            time.sleep(0.5)
            now += 30 * SECOND  # a new owner waits a minute for what sources have to say
            self.set_clock(now)
        self.calm()

    def leave(self) -> None:
        """Ends the workers, then the sinks once they have written everything."""
        self._end([name for name in self._wanted if name not in SINKS])
        names = {topic: self.cluster.topic(topic) for topic in OUTPUTS}
        wanted = {log: end for log, end in ends(self.cluster.brokers[0], names).items() if end}
        until(lambda: self.tend() or caught_up(self.lake, wanted), "the sinks have written everything")
        self._end(list(self._wanted))
        leave_published(self.lake, self.published)

    def _end(self, names: list[str]) -> None:
        self._wanted.difference_update(names)
        for name in names:
            if name in self.processes and (code := self.stop(name)) not in (0, -signal.SIGTERM):
                self.diary.wrong.append(f"{name} ended with {code} when it was asked to: {self._last_words(name)}")

    def _last_words(self, name: str) -> str:
        return self.log(name).read_text(errors="replace")[-1500:]


def feed(cluster: Cluster, phase: stream_crowd.Phase) -> None:
    if ENVIRONMENT.get(MUTANT):
        cluster.set_clock(phase.now)
    else:
        cluster.pass_time(phase.now)
    cluster.raw("links", 0, *map(codec.encode, phase.splits))
    cluster.feed(phase.inputs)


def crowded(cluster: Cluster, folder: Path, seed: int, events: int) -> tuple[Crowd, Path]:
    """A crowd, and the file of what one process made of it."""
    crowd = stream_crowd.make(seed, events)
    return crowd, stream_crowd.embedded(crowd, stream_crowd.loaded(cluster.plan), folder / "embedded")


def resident(pid: int) -> int:
    """Bytes of a process in memory; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def chaos(broker: Broker, folder: Path, seed: int, events: int) -> tuple[Diary, list[str]]:
    """A whole run; what happened, and everything that went wrong."""
    crowd = stream_crowd.make(seed, events)
    cluster = Cluster(broker, f"chaos{seed}-", folder)
    embedded = stream_crowd.embedded(crowd, stream_crowd.loaded(cluster.plan), folder / "embedded")
    try:
        cluster.want(*FIRST_WORKERS, *SINKS)
        until(lambda: all(cluster.log(each).read_text().count("is open") for each in FIRST_WORKERS), "all have lanes")
        cluster.run(crowd, schedule(seed, events), random.Random(f"pauses {seed}"))
        cluster.expire(crowd, stream_crowd.triggers(embedded))
        cluster.leave()
        return cluster.diary, [*cluster.diary.wrong, *breaches(embedded, cluster, cluster.published)]
    finally:
        cluster.close()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("RAPPORT_SEED", time.time_ns() % 10_000)))
    given = parser.parse_args(arguments)
    print(f"RAPPORT_SEED={given.seed}, {given.events:,} events", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="rapport-chaos-"))
    broker = start_broker()
    began = time.monotonic()
    try:
        diary, wrong = chaos(broker, folder, given.seed, given.events)
    finally:
        broker.stop()
    print(f"{len(diary.faults)} faults in {time.monotonic() - began:.0f} s; {diary.memory >> 20} MB at most.")
    for ending, times in sorted(diary.endings.items()):
        print(f"  ended: {ending:<12} {times:>3} times")
    if wrong:
        print(*wrong, f"The logs are in {folder}.", sep="\n")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    print("Lost 0, doubled 0: profiles, clusters, facts, triggers, decisions, refusals, Parquet rows.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
