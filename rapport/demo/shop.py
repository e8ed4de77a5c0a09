"""A month of a shop with many channels, made up: the same seed always tells the same story.

It knows what a customer data platform has to cope with: people browse before they say who they are, share devices,
own several, carry a loyalty card into the store, write, call, complain, answer surveys, leave carts and come back, and
systems send placeholders, retries and garbage. It must never ask for the time or for randomness of its own.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import orjson

from rapport.demo.shop_world import (
    CAMPAIGNS,
    CITIES,
    CUSTOMERS,
    DAYS,
    FIRST,
    GARBAGE,
    LAST,
    MOODS,
    PRODUCTS,
    START,
    VISITORS,
    Person,
)
from schemas.instant import DAY, HOUR, MINUTE, SECOND, render
from schemas.messages import Json


class Month:
    """Writes the month down, event by event, in whatever order the stories are told."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._seed = seed
        self._written: list[tuple[int, int, bytes]] = []

    def lines(self) -> Iterator[bytes]:
        """The month as NDJSON, in the order in which a collector would have seen it."""
        dice = self._random
        people = [self._person(number) for number in range(1, CUSTOMERS + 1)]
        for person in people:
            self._customer(person)
        for first, second in zip(people[::40], people[1::40], strict=False):
            self._share_a_device(first, second)
        for number in range(VISITORS):
            self._browse(
                START + dice.randrange(DAYS * DAY), f"a-visitor-{number:03}", {"channel": "web"}, dice.randint(1, 5)
            )
        retries = dice.sample(self._written, 60)
        self._written += [(at + 2 * SECOND, number, line) for at, number, line in retries]
        self._written += [(START + (3 + 4 * day) * DAY, 0, line) for day, line in enumerate(GARBAGE)]
        return (line for _, _, line in sorted(self._written))

    def _person(self, number: int) -> Person:
        dice = self._random
        name = (dice.choice(FIRST), dice.choice(LAST))
        return Person(
            number=number,
            name=name,
            email=f"{name[0]}.{name[1]}{number}@mail.example".lower(),
            phone=f"+49301{number:06}",
            browser=f"a-web-{self._seed}-{number:04}",
            mobile=f"a-app-{self._seed}-{number:04}",
            card=f"C-{700000 + number}" if dice.random() < 0.35 else None,
            keen=dice.betavariate(1.6, 2.6),
        )

    # --- one customer -----------------------------------------------------------------------------------------------

    def _customer(self, person: Person) -> None:
        dice = self._random
        arrival = START + int(dice.betavariate(1, 2.2) * (DAYS - 2) * DAY)
        for visit in sorted(dice.randrange(arrival, START + DAYS * DAY) for _ in range(1 + round(person.keen * 7))):
            at = visit - visit % DAY + dice.randint(7, 21) * HOUR + dice.randrange(HOUR)
            if person.card and dice.random() < 0.25:
                self._store(person, at)
            else:
                self._session(person, at, on_mobile=dice.random() < 0.35)
        if person.known:
            self._newsletters(person)
            self._service(person)

    def _session(self, person: Person, at: int, on_mobile: bool) -> None:
        dice = self._random
        context: Json = {"channel": "mobile" if on_mobile else "web"}
        if on_mobile:
            context["device"] = {
                "id": f"d-{person.number:04}",
                "type": "ios",
                "manufacturer": "Apple",
                "model": "iPhone17,3",
            }
        if dice.random() < 0.3:
            context["campaign"] = dict(zip(("source", "medium", "name"), dice.choice(CAMPAIGNS), strict=True))
        device = person.mobile if on_mobile else person.browser
        seen, at = self._browse(at, device, context, dice.randint(2, 6))
        who: Json = {"anonymousId": device}
        if person.known or dice.random() < 0.75:
            at = self._login(person, at + MINUTE, device, context)
            who["userId"] = person.user_id
        if dice.random() < 0.25 + person.keen / 2:
            self._shop(person, at, who, context, seen)

    def _browse(self, at: int, device: str, context: Json, count: int) -> tuple[list[tuple[str, str, float]], int]:
        dice = self._random
        self._write(
            at, "screen" if context["channel"] == "mobile" else "page", {"anonymousId": device, "name": "Home"}, context
        )
        seen = dice.sample(PRODUCTS, count)
        for id_, name, price in seen:
            at += dice.randint(8, 240) * SECOND
            properties = {"product_id": id_, "name": name, "price": price, "currency": "EUR"}
            self._track(at, "Product Viewed", {"anonymousId": device}, context, properties)
        return seen, at

    def _login(self, person: Person, at: int, device: str, context: Json) -> int:
        dice = self._random
        traits: Json = {"email": person.email, "first_name": person.name[0], "last_name": person.name[1]}
        if dice.random() < 0.6:
            traits["phone"] = person.phone
        if person.card:
            traits["loyalty_card"] = person.card
        if not person.known:
            person.known = True
            traits["city"] = dice.choice(CITIES)
            self._track(
                at, "Signed Up", {"anonymousId": device, "userId": person.user_id}, context, {"method": "email"}
            )
            if person.number % 25 == 0:
                kiosk = f"a-kiosk-{person.number}"
                self._browse(at - HOUR, kiosk, {"channel": "store"}, 2)
                self._write(at + SECOND, "alias", {"previousId": kiosk, "userId": person.user_id}, context)
        if person.number % 31 == 0:
            self._track(at, "Signed In", {"anonymousId": device, "userId": "guest"}, context, {})
        who = {"anonymousId": device, "userId": person.user_id, "traits": traits}
        self._write(at + 2 * SECOND, "identify", who, context)
        return at + 3 * SECOND

    def _shop(self, person: Person, at: int, who: Json, context: Json, seen: list[tuple[str, str, float]]) -> None:
        dice = self._random
        person.carts += 1
        cart: Json = {
            "cart_id": f"cart-{person.number:04}-{person.carts}",
            "currency": "EUR",
            "products": [],
            "total": 0.0,
        }
        for id_, name, price in seen[: dice.randint(1, 3)]:
            at += dice.randint(10, 90) * SECOND
            quantity = dice.choice((1, 1, 1, 2))
            line = {"product_id": id_, "name": name, "price": price, "quantity": quantity}
            cart = {**cart, "products": [*cart["products"], line], "total": round(cart["total"] + price * quantity, 2)}
            self._track(at, "Product Added", who, context, {**line, "cart_id": cart["cart_id"]})
            self._track(at + SECOND, "Cart Updated", who, context, cart)
        if dice.random() < 0.7:
            at += dice.randint(30, 300) * SECOND
            self._track(at, "Checkout Started", who, context, cart)
            if dice.random() < 0.75:
                self._order(person, at + dice.randint(1, 9) * MINUTE, who, context, cart)
                return
        if "userId" in who and dice.random() < 0.4:
            self._win_back(person, at + 3 * HOUR + 5 * MINUTE, who, context, cart)

    def _win_back(self, person: Person, at: int, who: Json, context: Json, cart: Json) -> None:
        """The reminder goes out, is opened, and brings the cart back."""
        self._mail(person, at, "cart-reminder", opened=True, clicked=True)
        back = {**context, "campaign": {"source": "rapport", "medium": "email", "name": "cart-reminder"}}
        self._order(person, at + 2 * HOUR, who, back, cart)

    def _order(self, person: Person, at: int, who: Json, context: Json, cart: Json) -> None:
        dice = self._random
        order = {**cart, "order_id": f"o-{person.number:04}-{len(person.orders) + 1}"}
        person.orders.append(order)
        self._track(at, "Order Completed", who, context, order)
        if dice.random() < 0.07:
            part = order["products"][0]
            refund = {
                "order_id": order["order_id"],
                "currency": "EUR",
                "total": part["price"],
                "products": [{**part, "quantity": 1}],
            }
            self._track(
                at + dice.randint(3, 9) * DAY,
                "Order Refunded",
                {"userId": person.user_id},
                {"channel": "server"},
                refund,
            )
        if dice.random() < 0.25:
            answer = {
                "survey_name": "after-purchase",
                "score": dice.choice((2, 5, 6, 7, 8, 9, 9, 10, 10)),
                "order_id": order["order_id"],
            }
            self._track(
                at + 2 * DAY, "Survey Answered", {}, {"channel": "survey", "traits": {"email": person.email}}, answer
            )

    # --- other channels ---------------------------------------------------------------------------------------------

    def _store(self, person: Person, at: int) -> None:
        """Paper receipts know the card and nobody's name."""
        id_, name, price = self._random.choice(PRODUCTS)
        context = {"channel": "store"}
        self._track(at, "Store Visited", {}, context, {"loyalty_card": person.card, "store_name": "Mitte"})
        order = {
            "order_id": f"s-{person.number:04}-{at // DAY}",
            "loyalty_card": person.card,
            "currency": "EUR",
            "total": price,
            "products": [{"product_id": id_, "name": name, "price": price, "quantity": 1}],
        }
        self._track(at + 4 * MINUTE, "Order Completed", {}, context, order)

    def _newsletters(self, person: Person) -> None:
        dice = self._random
        for week in range(4):
            opened = dice.random() < 0.2 + person.keen / 2
            self._mail(
                person,
                START + (6 + 7 * week) * DAY + 9 * HOUR,
                f"news-{week + 1}",
                opened,
                opened and dice.random() < 0.3,
            )

    def _mail(self, person: Person, at: int, template: str, opened: bool, clicked: bool) -> None:
        dice = self._random
        at += dice.randrange(20 * MINUTE)
        context = {
            "channel": "email",
            "traits": {"email": person.email.title() if dice.random() < 0.1 else person.email},
        }
        about = {"campaign_name": template}
        if person.number % 15 == 0 and template == "news-3":
            self._track(at, "Email Bounced", {}, context, {**about, "reason": "mailbox full"})
            return
        self._track(at, "Email Delivered", {}, context, about)
        if opened:
            self._track(at + dice.randint(2, 600) * MINUTE // 10, "Email Opened", {}, context, about)
        if clicked:
            link = {**about, "link_url": f"https://shop.example/{template}"}
            self._track(at + 61 * MINUTE, "Email Link Clicked", {}, context, link)

    def _service(self, person: Person) -> None:
        dice = self._random
        at = START + dice.randrange(5 * DAY, DAYS * DAY)
        by_mail = {"traits": {"email": person.email}}
        if dice.random() < 0.12:
            subject, sentiment = dice.choice(MOODS)
            ticket = {"ticket_id": f"t-{person.number:04}", "subject": subject, "sentiment": sentiment}
            self._track(at, "Ticket Created", {}, {"channel": "support", **by_mail}, ticket)
            self._track(
                at + 20 * HOUR,
                "Ticket Solved",
                {},
                {"channel": "support", **by_mail},
                {"ticket_id": ticket["ticket_id"]},
            )
        if dice.random() < 0.08:
            self._track(at, "Chat Started", {"anonymousId": person.browser}, {"channel": "chat"}, {"topic": "delivery"})
        if dice.random() < 0.06:
            call = {"direction": "inbound", "duration_seconds": dice.randint(40, 900)}
            self._track(at, "Call Ended", {}, {"channel": "phone", "traits": {"phone": person.phone}}, call)
        if dice.random() < 0.05:
            account = [
                {
                    "id": f"@{person.name[0].lower()}{person.number}",
                    "type": "instagram",
                    "collection": "users",
                    "encoding": "none",
                }
            ]
            who = {"userId": person.user_id} if dice.random() < 0.5 else {}
            self._track(
                at,
                "Brand Mentioned",
                who,
                {"channel": "social", "externalIds": account},
                {"network": "instagram", "sentiment": "positive"},
            )
        if person.number % 50 == 0:
            self._write(
                at,
                "group",
                {"userId": person.user_id, "groupId": "roastery-club", "traits": {"plan": "gold"}},
                {"channel": "server"},
            )

    def _share_a_device(self, owner: Person, other: Person) -> None:
        """One tablet, two people: the second one logs in where the first one is known."""
        if owner.known and other.known:
            at = START + (DAYS - 1) * DAY + 10 * HOUR + owner.number * MINUTE
            self._login(other, at, owner.browser, {"channel": "web"})

    # --- writing ----------------------------------------------------------------------------------------------------

    def _track(self, at: int, event: str, who: Json, context: Json, properties: Json) -> None:
        self._write(at, "track", {**who, "event": event, "properties": properties}, context)

    def _write(self, at: int, type_: str, call: Json, context: Json) -> None:
        number = len(self._written) + 1
        body = {
            "type": type_,
            "messageId": f"shop-{self._seed}-{number:05}",
            "timestamp": render(at),
            **call,
            "context": context,
        }
        self._written.append((at, number, orjson.dumps(body)))
