"""What a trigger carries beside the action as it stands in the plan: whom to reach, and what its texts name.

So whoever delivers it needs to ask nobody. Pure; what is not known is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from profiles import view
from profiles.identifiers import normalized
from profiles.row import Row
from profiles.rows import Rows
from profiles.settings import IdentitySettings
from rules.actions import placeholders
from rules.evaluator import FIELDS_LIMIT
from rules.language.model import Action
from rules.patterns.absence import Run
from schemas.keys import key_of, split_key

ADDRESSES = {"email": "email", "sms": "phone", "whatsapp": "phone"}
"""The type of identifier that a channel reaches; the others find the customer by the profile."""


def carried(
    action: Action, run: Run, named: Sequence[str], rows: Rows, root: Row, identity: IdentitySettings
) -> dict[str, Any]:
    """`address`, `traits` and `event` of a trigger, each where the action has it. `named`: the event's identifiers."""
    found: dict[str, Any] = {}
    names = placeholders.traits(action)
    traits = view.traits(rows, root) if names or action.kind == "send" else {}
    if action.kind == "send":
        found["address"] = _address(str(action.payload["channel"]), named, traits, root, identity)
    if names:
        found["traits"] = _fitting({name: traits.get(name) for name in names})
    if paths := placeholders.fields((action,)):
        fields = orjson.loads(run.fields or "{}")
        told = {name: fields.get(name) for name in map(str, paths)}
        found["event"] = {"name": run.rule.when.event, "message_id": run.message_id, "fields": told}
    return found


def _address(
    channel: str, named: Sequence[str], traits: dict[str, Any], root: Row, identity: IdentitySettings
) -> str | None:
    """That of the event first, then the customer's newest, then the first one of the customer's identifiers."""
    type_ = ADDRESSES.get(channel)
    if type_ is None:
        return None
    members = sorted((root.key, *root.members))
    trait = traits.get(type_)
    newest = normalized(key_of(type_, trait), identity) if isinstance(trait, str) and trait.strip() else None
    known = [*named, *([newest] if newest in members else ()), *members, *([newest] if newest else ())]
    return next((split_key(key)[1] for key in known if split_key(key)[0] == type_), None)


def _fitting(values: dict[str, Any]) -> dict[str, Any]:
    """Null stands for what finds no room."""
    kept: dict[str, Any] = dict.fromkeys(values)
    for name, value in values.items():
        kept[name] = value
        if len(orjson.dumps(kept)) > FIELDS_LIMIT:
            kept[name] = None
    return kept
