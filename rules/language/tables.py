"""The rule language as tables: every key, what it takes and what it is for. The parser and the editor schema read
them, so the two cannot drift apart. No code that reads files or events belongs here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from rules.language.model import STATUSES
from schemas import instant
from schemas.yaml.reader import DURATION_PATTERN

NAME = r"^[a-z0-9][a-z0-9-]*$"
WORD = r"^[a-z0-9][a-z0-9_-]*$"
WITHIN_SHORTEST = instant.SECOND
WITHIN_LONGEST = 90 * instant.DAY
ACTIONS_LIMIT = 20

SEND_CHANNELS = ("email", "sms", "push", "in_app", "whatsapp")
ALERT_CHANNELS = ("slack", "teams", "email")
SEVERITIES = ("low", "medium", "high", "critical")
SEVERITY = "medium"


class Key(NamedTuple):
    """A key of a mapping."""

    help: str
    schema: Mapping[str, Any]
    """JSON Schema of its value."""
    needed: bool = False


Keys = Mapping[str, Key]

_TEXT = {"type": "string", "minLength": 1}
_DURATION = {"type": "string", "pattern": DURATION_PATTERN}
_SCALAR = {"type": ["string", "number", "boolean"]}
_BOUND = {"type": ["number", "string"]}
_CONDITIONS = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/where"}}
_FIELD = {"type": "string", "pattern": r"^[^.]+(\.[^.]+)*$"}


def _choice(options: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "string", "enum": list(options)}


RULE: Keys = {
    "rule": Key(
        "Its name, in every report. A renamed rule is another rule.", {"type": "string", "pattern": NAME}, True
    ),
    "title": Key("What it does, in a few words for people.", _TEXT),
    "owner": Key("Who answers for it: a person or a team.", _TEXT, True),
    "status": Key(
        "draft and paused rules do nothing; shadow rules decide and record but do nothing else.",
        _choice(STATUSES),
        True,
    ),
    "purpose": Key("What the customer is contacted for, like marketing.", {"type": "string", "pattern": WORD}, True),
    "when": Key("The event, or the missing event, that starts it.", {"$ref": "#/$defs/when"}, True),
    "then": Key(
        "What happens, in this order.",
        {"type": "array", "minItems": 1, "maxItems": ACTIONS_LIMIT, "items": {"$ref": "#/$defs/action"}},
        True,
    ),
}

WHEN: Keys = {
    "event": Key("A track event's name, or identify, page, screen, group, alias.", _TEXT, True),
    "where": Key("Conditions on the event; all must hold.", {"$ref": "#/$defs/where"}),
    "not_followed_by": Key("Fire only if this event does not come in time.", {"$ref": "#/$defs/not_followed_by"}),
    "within": Key("How long to wait for not_followed_by, in event time: 30s, 15m, 3h, 7d; 90d at most.", _DURATION),
    "same": Key("A field that must be equal in both events, like cart_id.", _FIELD),
    "restart_on": Key("The event that starts the wait anew.", _TEXT),
    "key": Key("One run per value of this field; without it one per event, or with a window one at a time.", _FIELD),
}

NOT_FOLLOWED_BY: Keys = {
    "event": Key("The event that must not come.", _TEXT, True),
    "where": Key("Conditions on it; all must hold.", {"$ref": "#/$defs/where"}),
    "same": Key("A field that must be equal in both events, like cart_id.", _FIELD),
}

GROUPS: Keys = {
    "all": Key("All of these hold.", _CONDITIONS),
    "any": Key("At least one of these holds.", _CONDITIONS),
    "none": Key("None of these holds.", _CONDITIONS),
}

OPERATORS: Keys = {
    "equals": Key("The same value; a plain value means this, too.", _SCALAR),
    "is_not": Key("Another value, or none.", _SCALAR),
    "one_of": Key(
        "One of these values; a plain list means this, too.", {"type": "array", "minItems": 1, "items": _SCALAR}
    ),
    "at_least": Key("This or more.", _BOUND),
    "at_most": Key("This or less.", _BOUND),
    "above": Key("More than this.", _BOUND),
    "below": Key("Less than this.", _BOUND),
    "exists": Key("Is there a value at all?", {"type": "boolean"}),
    "contains": Key("Text that is part of the text, or an item of the list.", _SCALAR),
    "starts_with": Key("Text that the text starts with.", _TEXT),
}

ACTIONS: Mapping[str, Keys] = {
    "send": {
        "send": Key("Send the customer a message this way.", _choice(SEND_CHANNELS), True),
        "template": Key("The name of its template.", {"type": "string", "pattern": WORD}, True),
    },
    "alert": {
        "alert": Key(
            "Tell colleagues, on one or several channels.",
            {"oneOf": [_choice(ALERT_CHANNELS), {"type": "array", "minItems": 1, "items": _choice(ALERT_CHANNELS)}]},
            True,
        ),
        "to": Key("Channel or address.", _TEXT, True),
        "message": Key("What it says.", _TEXT, True),
        "severity": Key(f"How urgent it is; {SEVERITY} unless told.", _choice(SEVERITIES)),
    },
    "webhook": {
        "webhook": Key("Call the webhook of this name.", {"type": "string", "pattern": WORD}, True),
        "body": Key("What goes with the call.", {"type": "object"}),
    },
}
"""Kind of action -> its keys; the first one names the kind."""

LATER_RULE = ("audience", "limits", "tests", "exit_when", "goal", "rollout")
LATER_WHEN = ("any", "all", "count", "crosses", "inactive_for", "enters_segment", "leaves_segment", "date")
LATER_ACTIONS = ("voucher", "wait", "split", "branch", "if", "set", "points")
LATER_FIELDS = ("profile", "trigger")
"""What the whole language will know: refused by name, so that nobody believes it works already."""
