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
    """`address`, `traits` and `event` of a trigger, each where the action has it. `named`: the event's identifiers.

    The address is that of the event first, then the customer's.
    """
    found: dict[str, Any] = {}
    names = placeholders.traits(action)
    reached = ADDRESSES.get(str(action.payload["channel"])) if action.kind == "send" else None
    address = _first(reached, named)
    asked = reached is not None and address is None
    traits = view.traits(rows, root) if names or asked else {}
    if action.kind == "send":
        found["address"] = _known(str(reached), traits, root, identity) if asked else address
    if names:
        found["traits"] = _fitting({name: traits.get(name) for name in names})
    if paths := placeholders.fields((action,)):
        fields = orjson.loads(run.fields or "{}")
        told = {name: fields.get(name) for name in map(str, paths)}
        found["event"] = {"name": run.rule.when.event, "message_id": run.message_id, "fields": told}
    return found


def _known(reached: str, traits: dict[str, Any], root: Row, identity: IdentitySettings) -> str | None:
    """The customer's newest address of this type, then the first one of the customer's identifiers."""
    members = sorted((root.key, *root.members))
    trait = traits.get(reached)
    newest = normalized(key_of(reached, trait), identity) if isinstance(trait, str) and trait.strip() else None
    known = [*([newest] if newest in members else ()), *members, *([newest] if newest else ())]
    return _first(reached, known)


def _first(type_: str | None, keys: Sequence[str]) -> str | None:
    return next((value for kind, value in map(split_key, keys) if kind == type_), None)


def _fitting(values: dict[str, Any]) -> dict[str, Any]:
    """Null stands for what finds no room."""
    kept: dict[str, Any] = dict.fromkeys(values)
    for name, value in values.items():
        kept[name] = value
        if len(orjson.dumps(kept)) > FIELDS_LIMIT:
            kept[name] = None
    return kept
