"""The event names that Rapport and its rules understand alike across shops, with their properties. A table that grows.

Nothing is enforced: other names are as welcome, and any event may have further properties. The names of commerce are
those of Segment's ecommerce spec v2 (https://segment.com/docs/connections/spec/ecommerce/v2/), those of e-mail of its
e-mail spec; the others follow their pattern, object first, then what happened to it. `Cart Updated` is no word of that
spec: shop systems and marketing tools report a changed cart as a whole, and a rule about its value needs that.
`docs/events.md` ends with `tables()`; a test compares them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.rejection import CODES


class Word(NamedTuple):
    """One event name. `properties` are `name type` pairs, separated by commas."""

    name: str
    meaning: str
    properties: str


TYPES: Final = frozenset(("text", "number", "money", "boolean", "time", "list", "products"))
"""`money`: a number or its text, in `currency`. `time`: ISO 8601. `products`: a list of objects like one product."""

_PRODUCT = (
    "product_id text, sku text, category text, name text, brand text, variant text, price money, quantity number, "
    "coupon text, position number, url text, image_url text, currency text"
)
_LIST = "list_id text, category text, products products"
_ORDER = (
    "order_id text, affiliation text, revenue money, subtotal money, total money, shipping money, tax money, "
    "discount money, coupon text, currency text, products products"
)
_PROMOTION = "promotion_id text, creative text, name text, position text"
_COUPON = "order_id text, cart_id text, coupon_id text, coupon_name text, discount money"
_STEP = "checkout_id text, order_id text, step number, shipping_method text, payment_method text"
_EMAIL = "email_id text, email_subject text, campaign_id text, campaign_name text"
_LINK = f"{_EMAIL}, link_id text, link_url text"
_TICKET = "ticket_id text, subject text, category text, priority text, status text, agent_id text"
_CHAT = "conversation_id text, agent_id text, bot boolean"
_CALL = "call_id text, direction text, agent_id text, duration_seconds number, reason text"
_POST = "network text, post_id text, post_url text, sentiment text"
_SURVEY = "survey_id text, survey_name text"
_LOYALTY = "program_id text, loyalty_card text, points number, balance number, tier text"
_PLAN = "subscription_id text, plan text, amount money, currency text, interval text"
_PLACE = "store_id text, store_name text"

VOCABULARY: Final[dict[str, tuple[Word, ...]]] = {
    "Browsing": (
        Word("Products Searched", "Someone looked for products.", "query text"),
        Word("Product List Viewed", "A category or a list was shown.", _LIST),
        Word("Product List Filtered", "A list was narrowed or sorted.", f"{_LIST}, filters list, sorts list"),
        Word("Promotion Viewed", "A promotion was shown.", _PROMOTION),
        Word("Promotion Clicked", "A promotion was followed.", _PROMOTION),
        Word("Product Clicked", "A product was chosen from a list.", _PRODUCT),
        Word("Product Viewed", "The page of a product was shown.", _PRODUCT),
        Word("Product Shared", "A product was recommended to somebody.", f"share_via text, recipient text, {_PRODUCT}"),
        Word("Cart Shared", "A cart was sent to somebody.", "share_via text, cart_id text, products products"),
        Word(
            "Product Reviewed",
            "A product was judged.",
            "product_id text, review_id text, review_body text, rating number",
        ),
    ),
    "Cart and wishlist": (
        Word("Product Added", "A product was put into the cart.", f"cart_id text, {_PRODUCT}"),
        Word("Product Removed", "A product was taken out of the cart.", f"cart_id text, {_PRODUCT}"),
        Word(
            "Cart Updated",
            "The cart changed; it says all that is in it now.",
            "cart_id text, total money, currency text, products products",
        ),
        Word("Cart Viewed", "The cart was looked at.", "cart_id text, products products"),
        Word("Product Added to Wishlist", "A product was noted for later.", f"wishlist_id text, {_PRODUCT}"),
        Word(
            "Product Removed from Wishlist", "A product was struck off the wishlist.", f"wishlist_id text, {_PRODUCT}"
        ),
        Word(
            "Wishlist Product Added to Cart",
            "A noted product went into the cart.",
            f"wishlist_id text, cart_id text, {_PRODUCT}",
        ),
    ),
    "Orders": (
        Word("Checkout Started", "The way to the till began.", _ORDER),
        Word("Checkout Step Viewed", "A step of the checkout was shown.", _STEP),
        Word("Checkout Step Completed", "A step of the checkout was done.", _STEP),
        Word("Payment Info Entered", "How to pay was stated.", _STEP),
        Word("Coupon Entered", "A coupon was tried.", "order_id text, cart_id text, coupon_id text"),
        Word("Coupon Applied", "A coupon was taken.", _COUPON),
        Word("Coupon Denied", "A coupon was refused.", f"{_COUPON}, reason text"),
        Word("Coupon Removed", "A coupon was taken back.", _COUPON),
        Word(
            "Order Completed",
            "An order was placed. Its amount is `revenue`, else `total`, else its products' sum.",
            _ORDER,
        ),
        Word("Order Updated", "An order changed. It says only what changed; the newest amount counts.", _ORDER),
        Word("Order Refunded", "Money went back: `total`, else what the products cost, else the whole order.", _ORDER),
        Word("Order Cancelled", "An order was called off.", _ORDER),
    ),
    "E-mail": (
        Word("Email Delivered", "The recipient's server took the message.", _EMAIL),
        Word("Email Opened", "The message was displayed.", _EMAIL),
        Word("Email Link Clicked", "A link in the message was followed.", _LINK),
        Word("Email Bounced", "The message came back.", f"{_EMAIL}, bounce_type text, reason text"),
        Word("Email Marked as Spam", "The recipient called the message spam.", _EMAIL),
        Word("Unsubscribed", "The recipient wants no more such messages.", f"{_EMAIL}, list_id text"),
        Word("Subscribed", "The recipient asked for such messages.", "list_id text, source text"),
    ),
    "Support": (
        Word("Ticket Created", "A customer asked for help.", _TICKET),
        Word("Ticket Updated", "Something about the ticket changed.", _TICKET),
        Word("Ticket Answered", "An agent replied.", _TICKET),
        Word("Ticket Solved", "The ticket was settled.", f"{_TICKET}, resolution_seconds number"),
        Word("Ticket Reopened", "It was not settled after all.", _TICKET),
        Word("Ticket Rated", "The customer judged the help.", f"{_TICKET}, rating number, comment text"),
    ),
    "Chat": (
        Word("Chat Started", "A conversation began.", _CHAT),
        Word("Message Sent", "We wrote.", f"{_CHAT}, message_id text, text text"),
        Word("Message Received", "The customer wrote.", f"{_CHAT}, message_id text, text text"),
        Word("Chat Ended", "A conversation ended.", f"{_CHAT}, duration_seconds number, rating number"),
    ),
    "Phone": (
        Word("Call Started", "A call was connected.", _CALL),
        Word("Call Missed", "Nobody took the call.", _CALL),
        Word("Call Ended", "A call was over.", f"{_CALL}, outcome text"),
        Word("Voicemail Left", "The caller left a message.", _CALL),
    ),
    "Store": (
        Word("Store Visited", "A customer was recognized in a store.", f"{_PLACE}, loyalty_card text"),
        Word(
            "Appointment Booked", "A visit was agreed.", f"{_PLACE}, appointment_id text, starts_at time, service text"
        ),
        Word("Appointment Missed", "The customer did not come.", f"{_PLACE}, appointment_id text"),
        Word("Product Returned", "Goods came back to a store.", f"{_PLACE}, order_id text, reason text, {_PRODUCT}"),
    ),
    "Social": (
        Word("Brand Mentioned", "A public post named us.", f"{_POST}, text text"),
        Word("Post Liked", "The customer liked a post of ours.", _POST),
        Word("Post Shared", "The customer shared a post of ours.", _POST),
        Word("Comment Posted", "The customer commented on a post of ours.", f"{_POST}, text text"),
        Word("Account Followed", "The customer follows us.", "network text, account text"),
    ),
    "Survey": (
        Word("Survey Sent", "A survey was sent.", _SURVEY),
        Word(
            "Survey Answered", "One question was answered.", f"{_SURVEY}, question_id text, answer text, score number"
        ),
        Word("Survey Completed", "All questions were answered.", f"{_SURVEY}, score number, comment text"),
        Word(
            "NPS Submitted", "A recommendation score from 0 to 10 was given.", f"{_SURVEY}, score number, comment text"
        ),
    ),
    "Loyalty": (
        Word("Loyalty Joined", "A customer became a member.", _LOYALTY),
        Word("Points Earned", "Points were credited.", f"{_LOYALTY}, order_id text"),
        Word("Points Redeemed", "Points were spent.", f"{_LOYALTY}, order_id text"),
        Word("Points Expired", "Points were lost by time.", _LOYALTY),
        Word("Tier Changed", "The member rose or fell.", f"{_LOYALTY}, previous_tier text"),
    ),
    "Account and subscription": (
        Word("Signed Up", "An account was made.", "method text, plan text"),
        Word("Signed In", "Somebody signed in.", "method text"),
        Word("Signed Out", "Somebody signed out.", "method text"),
        Word("Account Deleted", "An account was closed.", "reason text"),
        Word("Trial Started", "A trial began.", f"{_PLAN}, ends_at time"),
        Word("Trial Ended", "A trial ran out.", f"{_PLAN}, converted boolean"),
        Word("Subscription Started", "A paid subscription began.", _PLAN),
        Word("Subscription Renewed", "A subscription was prolonged.", f"{_PLAN}, renews_at time"),
        Word("Subscription Changed", "The plan changed.", f"{_PLAN}, previous_plan text"),
        Word("Subscription Cancelled", "A subscription was called off.", f"{_PLAN}, reason text, ends_at time"),
        Word("Payment Failed", "A payment did not come through.", f"{_PLAN}, reason text, attempt number"),
    ),
}
"""Area -> its events, in the order in which they usually happen."""


def properties(word: Word) -> dict[str, str]:
    """Property -> type."""
    return dict(pair.split() for pair in word.properties.split(", "))


def tables() -> str:
    """The vocabulary and the rejection codes as Markdown."""
    lines: list[str] = []
    for area, words in VOCABULARY.items():
        lines += [f"### {area}", "", "| event | meaning | properties |", "|---|---|---|"]
        for word in words:
            listed = ", ".join(f"`{name}` {kind}" for name, kind in properties(word).items())
            lines.append(f"| `{word.name}` | {word.meaning} | {listed} |")
        lines.append("")
    lines += ["## Why an event is rejected", "", "| code | meaning |", "|---|---|"]
    lines += [f"| `{code}` | {meaning} |" for code, meaning in CODES.items()]
    return "\n".join(lines) + "\n"
