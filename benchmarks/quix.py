"""The second opponent: the shop's profiles as a good engineer would write them with Quix Streams, exactly once.

    python quix.py BROKER PREFIX DATA

One JSON event a record, keyed by user; the profile is state in RocksDB with a changelog. Changes and positions are one
Kafka transaction, which Quix Streams commits every five seconds. It counts events into profiles and drops those it has
seen (`fold.py`), and that is all: no rules, no windows, no outputs.

It runs in an environment of its own, because its bounds and Rapport's do not meet; so it imports nothing of Rapport's.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from quixstreams import Application, State

from fold import TAKEN, Json, fold, identifiers_of, name_of, newcomer, seen, time_of

TOPIC = "quix-events"
PROFILE = "profile"
TOLD_EVERY = 0.25


class Profiles:
    """What is done with an event, and how many there were."""

    def __init__(self) -> None:
        self.taken = 0

    def take(self, event: Json, state: State) -> None:
        """One event of the user whose state this is."""
        self.taken += 1
        profile = state.get(PROFILE) or newcomer()
        if seen(profile, event):
            return
        for identifier in identifiers_of(event):
            if identifier not in profile["identifiers"]:
                profile["identifiers"].append(identifier)
        fold(profile, event, name_of(event), time_of(event))
        state.set(PROFILE, profile)

    def tell(self, file: Path) -> None:
        """Says for ever how many have been taken."""
        while True:
            file.write_text(f"{self.taken}\n")
            time.sleep(TOLD_EVERY)


def group_of(prefix: str) -> str:
    """The consumer group."""
    return f"{prefix}quix"


def main(broker: str, prefix: str, data: str) -> int:
    folder = Path(data)
    folder.mkdir(parents=True, exist_ok=True)
    app = Application(
        broker_address=broker,
        consumer_group=group_of(prefix),
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        state_dir=folder / "state",
        loglevel="WARNING",
    )
    profiles = Profiles()
    events = app.dataframe(app.topic(prefix + TOPIC, key_deserializer="str", value_deserializer="json"))
    events.update(profiles.take, stateful=True)
    threading.Thread(target=profiles.tell, args=(folder / TAKEN,), daemon=True).start()
    app.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
