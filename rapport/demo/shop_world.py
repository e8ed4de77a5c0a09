"""What the demo's shop is made of: its people, its products, and the garbage that any collector gets to see."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.instant import parse
from schemas.messages import Json

START = parse("2026-03-01T00:00:00Z")
DAYS = 30
CUSTOMERS = 400
VISITORS = 90

FIRST = (
    "Ann Ben Carla David Elif Farid Greta Hugo Ines Jonas Karin Liam "
    "Mira Noah Olga Paul Qiu Rosa Sven Tara Uwe Vera Wim Yara"
).split()
LAST = (
    "Ahrens Berg Costa Dietz Ekdal Fischer Garcia Haas Ivanov Jansen "
    "Keller Lopez Meyer Novak Okafor Petrov Rossi Schmidt Tan Weber"
).split()
CITIES = "Berlin Hamburg Köln Leipzig München Stuttgart Wien Zürich".split()
PRODUCTS = (
    ("p-espresso", "Espresso machine", 389.0),
    ("p-grinder", "Coffee grinder", 149.0),
    ("p-kettle", "Gooseneck kettle", 79.9),
    ("p-scale", "Brewing scale", 54.5),
    ("p-beans", "House blend, 1 kg", 24.9),
    ("p-filter", "Paper filters, 200", 9.95),
    ("p-mug", "Stoneware mug", 18.5),
    ("p-press", "French press", 39.0),
    ("p-tamper", "Walnut tamper", 32.0),
    ("p-course", "Barista course", 119.0),
)
CAMPAIGNS = (("google", "cpc", "spring"), ("newsletter", "email", "march-beans"), ("instagram", "social", "latte-art"))
MOODS = (
    ("Where is my parcel?", -0.2),
    ("The grinder arrived broken!", -0.8),
    ("A question about filters", 0.1),
    ("Great service", 0.7),
)
GARBAGE = (
    b'{"type": "track", "event": "Product Viewed", "userId": "u-0001", "properties": {"price": NaN}}',
    b'{"type": "track", "event": "Order Completed", "userId": "u-0002", "properties": {"total": 12.0}',
    b'{"type": "purchase", "userId": "u-0003"}',
    b'{"type": "track", "event": "Product Viewed", "userId": "undefined"}',
    b'{"type": "track", "event": "Product Viewed", "userId": "u-0004", "timestamp": "yesterday"}',
    b'{"type": "track", "event": "Call Ended", "userId": "u-0005", "context": {"channel": "telepathy"}}',
)


@dataclass
class Person:
    number: int
    name: tuple[str, str]
    email: str
    phone: str
    browser: str
    mobile: str
    card: str | None
    keen: float
    """0 to 1: how often they come, and how often they buy."""
    known: bool = False
    carts: int = 0
    orders: list[Json] = field(default_factory=list)

    @property
    def user_id(self) -> str:
        return f"u-{self.number:04}"
