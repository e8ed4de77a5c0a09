"""A worker process on a clock that a test sets: `kafka_worker.py ADDRESS PREFIX PARTITIONS DATA PLAN [CLOCK]`.

CLOCK is a file with an instant in it; without one the worker lives on wall time. It is `rapport worker` otherwise, but
for one thing: such a clock is set on by days, and no timer is too late for that.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rapport.plan import folder as plan_folder
from rapport.services.worker import work
from schemas.errors import RapportError
from schemas.instant import DAY
from stream.clock import wall_now
from stream.core import waits
from stream.kafka.cluster import Cluster


def main(address: str, prefix: str, partitions: str, data: str, plan: str, clock: str = "") -> int:
    cluster = Cluster((address,), Path(data), prefix=prefix, partitions=int(partitions))
    if clock:
        waits.GRACE = 365 * DAY
    try:
        return work(
            cluster, plan_folder.load(Path(plan)), (lambda: int(Path(clock).read_text())) if clock else wall_now
        )
    except RapportError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
