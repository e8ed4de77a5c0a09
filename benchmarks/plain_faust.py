"""The opponent: the shop's customer data platform as a good engineer would write it with stock Faust.

    python plain_faust.py BROKER PREFIX DATA

One JSON event a record, keyed by user. Tables in RocksDB hold a profile per user, the open windows of a user, and the
user of each identifier, the last in an agent of its own because an identifier has its own partition. The fold
(`fold.py`) and the rules are those of `examples/shop`, written down by hand. Like most such programs it promises less
than Rapport: changes and what they cause are not atomic, and nobody merges two users.
"""

from __future__ import annotations

import heapq
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faust
from faust.transport.producer import ProducerBuffer

from fold import PARTITIONS, RECENT, TAKEN, Json, fold, identifiers_of, name_of, newcomer, seen, time_of

HOUR = 3_600
DAY = 24 * HOUR
LATE_AFTER = 3 * DAY
ANY = "*"
"""The key of a change that closes all windows of a rule."""
TOPICS = ("plain-events", "plain-identifiers", "plain-due", "plain-triggers", "plain-decisions")
"""What it reads and writes; with its changelogs, what must exist before it starts."""
TABLES = ("profiles", "windows", "identifiers")
CHANGELOGS = tuple(f"plain-{table}-changelog" for table in TABLES)
"""As Faust names them. It would make them itself, and refuses its partitions when brokers tell of them too late."""
CHANGES_WAITING = 10_000
"""Writes of tables on their way to the broker; with Faust's 100 it stands still most of the time."""
_STORE = {"write_buffer_size": 8 << 20, "block_cache_size": 16 << 20, "max_open_files": 64}


# --- the rules --------------------------------------------------------------------------------------------------------

ACTIONS = {
    "cart-abandonment": ("send", {"channel": "email", "template": "cart-reminder"}),
    "checkout-not-completed": ("send", {"channel": "push", "template": "checkout-help"}),
    "browse-abandonment": ("send", {"channel": "email", "template": "still-interested"}),
    "welcome": ("send", {"channel": "email", "template": "welcome"}),
    "loyalty-card-scanned": ("webhook", {"to": "loyalty-points", "body": {"reason": "first-scan", "points": 50}}),
    "email-bounced": ("webhook", {"to": "crm-check-address"}),
    "big-order": ("alert", {"channel": "slack", "to": "#orders", "message": "A big order came in"}),
    "unhappy-ticket": ("alert", {"channel": "slack", "to": "#care", "message": "An unhappy customer wrote"}),
    "ticket-left-open": ("alert", {"channel": "slack", "to": "#care", "message": "A ticket is still open"}),
    "low-survey-score": ("alert", {"channel": "slack", "to": "#care", "message": "A low score"}),
}
"""Of the rules that are live; `refund-follow-up` is in shadow."""


def at_once(event: Json, name: str, properties: Json) -> Iterator[tuple[str, str]]:
    """The rules without a window that an event meets, each with its run key."""
    if name == "Signed Up":
        yield "welcome", event["messageId"]
    elif name == "Store Visited":
        if event["context"].get("channel") == "store" and properties.get("loyalty_card"):
            yield "loyalty-card-scanned", properties["loyalty_card"]
    elif name == "Email Bounced":
        if "out of office" not in (properties.get("reason") or ""):
            yield "email-bounced", event["messageId"]
    elif name == "Order Completed":
        if max(properties.get("total", 0), properties.get("revenue", 0)) >= 300 and properties.get("order_id"):
            yield "big-order", properties["order_id"]
    elif name == "Ticket Created":
        if properties.get("sentiment", 0) < -0.4 and properties.get("ticket_id"):
            yield "unhappy-ticket", properties["ticket_id"]
    elif name == "Survey Answered" and properties.get("score", 10) <= 6:
        yield "low-survey-score", event["messageId"]


def windowed(name: str, properties: Json) -> Iterator[tuple[str, str, float | None]]:
    """The windows that an event opens or restarts (seconds) or closes (None), each with its key."""
    cart = properties.get("cart_id", "")
    if name == "Cart Updated":
        if cart and properties.get("total", 0) >= 50:
            yield "cart-abandonment", cart, 3 * HOUR
    elif name == "Checkout Started":
        if cart:
            yield "checkout-not-completed", cart, HOUR
    elif name == "Product Viewed":
        if properties.get("price", 0) >= 100:
            yield "browse-abandonment", "", DAY
    elif name == "Product Added":
        yield "browse-abandonment", "", None
    elif name == "Order Completed":
        yield "cart-abandonment", cart, None
        yield "checkout-not-completed", cart, None
        yield "refund-follow-up", ANY, None
    elif name == "Order Refunded":
        yield "refund-follow-up", properties.get("order_id", ""), 7 * DAY
    elif name == "Ticket Created":
        if ticket := properties.get("ticket_id"):
            yield "ticket-left-open", ticket, 2 * DAY
    elif name == "Ticket Solved":
        yield "ticket-left-open", properties.get("ticket_id", ""), None


# --- the app ----------------------------------------------------------------------------------------------------------


class Platform:
    """The tables and topics of an app, and what is done with them."""

    def __init__(self, app: faust.App, prefix: str) -> None:
        self.events, self.learnt, self.due, self.triggers, self.decisions = (
            app.topic(prefix + name, key_type=str, key_serializer="raw", value_serializer="json") for name in TOPICS
        )
        self.profiles, self.windows, self.identifiers = (
            app.Table(name, partitions=PARTITIONS, options=dict(_STORE)) for name in TABLES
        )
        self.timers: list[tuple[float, str]] = []
        self.taken = 0

    async def take(self, user: str, event: Json) -> None:
        """One event of a user."""
        self.taken += 1
        name, at = name_of(event), time_of(event)
        profile = self.profiles.get(user) or newcomer()
        if seen(profile, event):
            return
        for identifier in identifiers_of(event):
            if identifier not in profile["identifiers"]:
                profile["identifiers"].append(identifier)
                await self.learnt.send(key=identifier, value=user)
        fold(profile, event, name, at)
        if time.time() - at < LATE_AFTER:
            await self._apply_rules(user, profile, event, name, at)
        self.profiles[user] = profile

    async def _apply_rules(self, user: str, profile: Json, event: Json, name: str, at: float) -> None:
        properties, fired = event.get("properties") or {}, profile["fired"]
        for rule, run_key in at_once(event, name, properties):
            mark = f"{rule}/{run_key}"
            verdict = "repeated" if mark in fired else "fired"
            fired[mark] = at
            await self._act(user, rule, run_key, verdict)
        while len(fired) > RECENT:
            del fired[next(iter(fired))]
        if changes := list(windowed(name, properties)):
            self._move(user, at, changes)

    async def _act(self, user: str, rule: str, run_key: str, verdict: str) -> None:
        decision = {"rule": rule, "user": user, "run_key": run_key, "verdict": verdict, "at": time.time()}
        await self.decisions.send(key=user, value=decision)
        if verdict == "fired":
            kind, payload = ACTIONS[rule]
            trigger_id = f"{rule}/{user}/{run_key}"
            trigger = {"trigger_id": trigger_id, "rule": rule, "user": user, "action": kind, "payload": payload}
            await self.triggers.send(key=user, value=trigger)

    def _move(self, user: str, at: float, changes: list[tuple[str, str, float | None]]) -> None:
        """Opens, restarts and closes windows."""
        opened = self.windows.get(user) or {}
        before = dict(opened)
        for rule, key, seconds in changes:
            if seconds is not None:
                opened[f"{rule}/{key}"] = at + seconds
                heapq.heappush(self.timers, (at + seconds, user))
            elif key == ANY:
                opened = {name: due for name, due in opened.items() if not name.startswith(f"{rule}/")}
            else:
                opened.pop(f"{rule}/{key}", None)
        if opened != before:
            self.windows[user] = opened

    async def fire(self, user: str, now: float) -> None:
        """Closes the windows of a user that are due, and acts on them."""
        opened = self.windows.get(user) or {}
        ripe = [name for name, at in opened.items() if at <= now]
        for name in ripe:
            del opened[name]
            rule, _, run_key = name.partition("/")
            await self._act(user, rule, run_key, "fired" if rule in ACTIONS else "shadow")
        if ripe:
            self.windows[user] = opened

    def recall(self) -> None:
        """Sets the timers of windows that an earlier process opened."""
        for user, opened in self.windows.items():
            for at in opened.values():
                heapq.heappush(self.timers, (at, user))


def build_app(broker: str, prefix: str, data: Path) -> faust.App:
    app = faust.App(
        f"{prefix}plain",
        broker=f"kafka://{broker}",
        store="rocksdb://?driver=rocksdict",
        datadir=str(data),
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        stream_wait_empty=False,
        stream_buffer_maxsize=16_384,
        broker_max_poll_records=2_000,
        consumer_auto_offset_reset="earliest",
        producer_linger=0.02,
        producer_max_batch_size=256 * 1024,
        producer_acks=-1,
        worker_redirect_stdouts=False,
    )
    shop = Platform(app, prefix)

    @app.agent(shop.events)
    async def take(stream: Any) -> None:
        async for user, event in stream.items():
            await shop.take(user, event)

    @app.agent(shop.learnt)
    async def learn(stream: Any) -> None:
        async for identifier, user in stream.items():
            shop.identifiers[identifier] = user

    @app.agent(shop.due)
    async def fire(stream: Any) -> None:
        async for user, now in stream.items():
            await shop.fire(user, now)

    @app.timer(interval=1.0)
    async def tick() -> None:
        now = time.time()
        while shop.timers and shop.timers[0][0] <= now:
            await shop.due.send(key=heapq.heappop(shop.timers)[1], value=now)

    @app.timer(interval=0.25)
    async def tell() -> None:
        (data / TAKEN).write_text(f"{shop.taken}\n")

    @app.task
    async def recall() -> None:
        shop.recall()

    return app


def main(broker: str, prefix: str, data: str) -> int:
    folder = Path(data)
    folder.mkdir(parents=True, exist_ok=True)
    ProducerBuffer.max_messages = CHANGES_WAITING
    logging.disable(logging.INFO)
    faust.Worker(build_app(broker, prefix, folder), loglevel="warning").execute_from_commandline()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
