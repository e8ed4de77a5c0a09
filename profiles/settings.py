r"""What counts as an identifier and how strong it is: identity.yaml, with every default built in. No extraction here.

identity.yaml, each key optional:

    priority: [user_id, crm_id, email]   strongest first; types not named follow in the built-in order
    types:
      crm_id:
        from_properties: [crm_id]        event properties and traits whose value is such an identifier
        cap: 1                           the most a profile may hold
        unique: true                     two profiles that both hold one never merge
        normalize: none                  email | phone | none
        suspect_above: 20                doctor names one that on one day was named with more others of one type
        block: ["C-0000"]                values that identify nobody, besides those for all types
        block_patterns: ["^TEST"]        the same as regular expressions
    trust_alias: true                    an alias may join two user ids; nothing else may. false unless told
    default_region: DE                   how phone numbers without + are read; without it they are malformed
    remember_message_ids: 7d             1h to 90d: how long a retry is recognized
    block: [none@example.com]            for every type, in addition to the built-in list
    block_patterns: ["@test\\.example$"]

The built-in order: user_id, email, phone, all other types by name, device_id, advertising_id, anonymous_id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from string import punctuation
from typing import Any, Literal, NamedTuple

from schemas import instant
from schemas.errors import Problem
from schemas.yaml.reader import PlanReader, raise_if_any
from schemas.yaml.strict import Node, Scalar, load, shown

Normalizer = Literal["email", "phone", "none"]

STRONGEST = ("user_id", "email", "phone")
WEAKEST = ("device_id", "advertising_id", "anonymous_id")
DEFAULT_CAP = 5
SUSPECT_ABOVE = 20
"""With more others of one type than that, named on one day, an identifier may be one that many people share."""
DEFAULT_CAPS = {"user_id": 1, "anonymous_id": 50}
NORMALIZERS: Mapping[str, Normalizer] = {"email": "email", "phone": "phone"}

BLOCKED = frozenset(
    (
        "", "-1", "null", "nil", "none", "nan", "undefined", "unknown", "unidentified", "anonymous", "anon", "guest",
        "n/a", "n.a.", "\\n", "not set", "not_set", "not-set", "true", "false",
        "not_authenticated", "not authenticated", "not_logged_in", "not logged in", "not-logged-in",
        "undefined undefined", "null null", "none none",
        "user", "id", "email", "user_id", "userid", "user-id", "distinct_id", "distinctid", "anonymous_id",
        "anonymousid", "device_id", "deviceid", "customer_id", "customerid", "client_id", "visitor_id",
        "#n/a", "#ref!", "#value!", "#name?", "#num!", "#null!", "#div/0!", "#nv", "#wert!", "#bezug!", "#zahl!",
        "[object object]", "9774d56d682e549c", "02:00:00:00:00:00",
    )
)  # fmt: skip
"""Casefolded. What SDKs, forms and sheets send when they know nobody: the union of the published lists, names of
fields, errors of spreadsheets, the id that many Android devices share, the address that Android gives as its own."""
_PLACEHOLDERS = (
    r"^[0!-/:-@\[-`{-~]+$",  # zeros and signs only
    r"\{\{.*\}\}|[$#]\{.*\}|%7b%7b.*%7d%7d|%24%7b.*%7d",  # a template that nobody filled in, also where it is a part
    r"^%+[^%]+%+$|^\[+[^\[\]@]*\]+$|^<+[^<>@]*>+$|^\*\|.*\|\*$",  # the same, where it is the whole
    r"^\{[a-z_.]+\}$|^\([^()@0-9]*\)$",  # {user_id}, but not {8C139779-...}; (not set), (null)
)
BLOCKED_PATTERNS_OF: Mapping[str, tuple[str, ...]] = {
    "email": (r"^(none|null|nil|nan|na|undefined|unknown|anonymous|guest|user|test|email|no-?e?-?mail)@\1\.",),
    "phone": (r"^\+?[0-9]{0,3}([0-9])\1{8,}$", r"^\+(1|[2-9][0-9]{0,2})0?1234567890?$"),
}
"""Besides those for all types: test@test.com, and numbers that are one digit nine times or more, or 123456789."""

RECOGNIZED = 131_072
"""Pairs of userId and anonymousId that are remembered: most events come from whom was here a moment ago."""
_OTHERS = 1_000
"""The rank of all types that have no place of their own."""
AROUND = "".join(
    (
        " \t\r\n\v\f\u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000\u180e\u200b\u200c\u200d\u2060\ufeff",
        *map(chr, range(0x2000, 0x200B)),
        "\"'`\\\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2039\u203a\u00ab\u00bb",
    )
)
"""Spaces, what takes no room, and quotes of all kinds, escaped ones included."""
_TYPE_NAME = r"[A-Za-z][A-Za-z0-9_.-]{0,63}"


@dataclass(frozen=True, slots=True)
class TypeSettings:
    """What identity.yaml says about one type; None means the built-in default."""

    name: str
    from_properties: tuple[str, ...] = ()
    cap: int | None = None
    unique: bool | None = None
    normalize: Normalizer | None = None
    suspect_above: int | None = None
    """How many others of one type an identifier of this type may be named with on one day before doctor names it."""
    block: tuple[str, ...] = ()
    block_patterns: tuple[str, ...] = ()


class Returning(dict[Any, Any]):
    """A memory of what comes back soon. Who is only passing through costs a byte, not a place."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room
        self._glimpsed = bytearray(room)

    def note(self, key: object, value: object) -> None:
        """Remembers what was noted lately and now again. A full memory starts anew."""
        mark = hash(key)
        place, mark = mark % self._room, mark >> 32 & 0xFF
        if self._glimpsed[place] != mark:
            self._glimpsed[place] = mark
            return
        if len(self) >= self._room:
            self.clear()
        self[key] = value


class Terms(NamedTuple):
    """What a value of one type must be like to identify somebody."""

    normalizer: Normalizer
    blocked: frozenset[str]
    """Values that identify nobody, casefolded: for `trimmed(value).casefold()`."""
    patterns: tuple[re.Pattern[str], ...]
    """A trimmed value in which one of these is found (`search`; they ignore case) is blocked, too."""


@dataclass(frozen=True)
class IdentitySettings:
    """The settings of identity.yaml; `IdentitySettings()` are the defaults. Every answer is a dict look-up."""

    priority: tuple[str, ...] = ()
    types: tuple[TypeSettings, ...] = ()
    default_region: str | None = None
    trust_alias: bool = False
    """Whether an alias whose userId and previousId are two user ids joins them, whatever cap and `unique` say."""
    forget_after: int = 7 * instant.DAY
    """Microseconds of wall time after which a message id is no longer recognized."""
    block: tuple[str, ...] = ()
    block_patterns: tuple[str, ...] = ()

    @cached_property
    def unique(self) -> frozenset[str]:
        """Types of which two profiles that both hold one never merge."""
        stated = {each.name: each.unique for each in self.types if each.unique is not None}
        return frozenset(name for name, unique in ({"user_id": True} | stated).items() if unique)

    @cached_property
    def properties(self) -> Mapping[str, str]:
        """Name of an event property or trait -> the type of identifier its value is."""
        return {name: each.name for each in self.types for name in each.from_properties}

    @cached_property
    def recognized(self) -> Returning:
        """A memory for `identifiers.extract`: (userId, anonymousId) -> what they are under these settings."""
        return Returning(RECOGNIZED)

    def rank(self, type_: str) -> tuple[int, str]:
        """Sorts types, the strongest first."""
        return self._ranks.get(type_) or (_OTHERS, type_)

    def cap(self, type_: str) -> int:
        """The most identifiers of a type that one profile may hold."""
        return self._caps.get(type_, DEFAULT_CAP)

    def terms(self, type_: str) -> Terms:
        """What a value of this type must be like."""
        return self._terms.get(type_) or self._terms_of_others

    @property
    def known_types(self) -> tuple[str, ...]:
        """Types that have a rank or settings of their own, the strongest first."""
        return tuple(dict.fromkeys([*self._ranks, *(each.name for each in self.types)]))

    @cached_property
    def _ranks(self) -> Mapping[str, tuple[int, str]]:
        stronger = [*self.priority, *(name for name in STRONGEST if name not in self.priority)]
        weaker = [name for name in WEAKEST if name not in self.priority]
        ranks = {name: (place, "") for place, name in enumerate(stronger)}
        return ranks | {name: (_OTHERS + 1 + place, "") for place, name in enumerate(weaker)}

    @cached_property
    def _caps(self) -> Mapping[str, int]:
        return DEFAULT_CAPS | {each.name: each.cap for each in self.types if each.cap is not None}

    @cached_property
    def _terms_of_others(self) -> Terms:
        return Terms("none", BLOCKED | _folded(self.block), _compiled(self.block_patterns))

    @cached_property
    def _terms(self) -> Mapping[str, Terms]:
        others = self._terms_of_others
        stated = {name: TypeSettings(name) for name in NORMALIZERS} | {each.name: each for each in self.types}
        terms: dict[str, Terms] = {}
        for each in stated.values():
            normalizer = each.normalize or NORMALIZERS.get(each.name, "none")
            blocked = others.blocked | _folded(each.block)
            patterns = _compiled(BLOCKED_PATTERNS_OF.get(normalizer, ()) + each.block_patterns)
            terms[each.name] = Terms(normalizer, blocked, others.patterns + patterns)
        return terms


def trimmed(value: str) -> str:
    r"""A value without the spaces and quotes around it, as the block lists see it. `\N` stays: N may be somebody."""
    bare = value.strip(AROUND)
    return f"\\{bare}" if bare in ("N", "n") and f"\\{bare}" in value else bare


def is_placeholder(bare: str) -> bool:
    """Whether a trimmed value has the form of no value, whatever its type: an unfilled template, zeros, (not set)."""
    if bare[0] in _SUSPICIOUS or "{" in bare or "%" in bare:
        return any(pattern.search(bare) for pattern in _PLACEHOLDER_PATTERNS)
    return False


def _folded(values: tuple[str, ...]) -> frozenset[str]:
    return frozenset(trimmed(value).casefold() for value in values)


def _compiled(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)


_PLACEHOLDER_PATTERNS = _compiled(_PLACEHOLDERS)
_SUSPICIOUS = frozenset("0" + punctuation)
"""With one of these, or with `{` or `%` in it, a value may be a placeholder; nearly none is looked at closer."""

DEFAULT = IdentitySettings()


def load_identity(text: str | bytes, file: str) -> IdentitySettings:
    """The settings of an identity.yaml. Raises PlanError with all its problems. An empty file gives the defaults."""
    problems: list[Problem] = []
    documents = load(text, file, problems)
    reader = PlanReader(file, problems)
    if len(documents) > 1:
        reader.problem(documents[1], "identity.yaml is one document; remove the `---` and what follows.")
    settings = _settings(reader, documents[0]) if documents else DEFAULT
    raise_if_any(problems)
    return settings


def _settings(reader: PlanReader, node: Node) -> IdentitySettings:
    found = reader.mapping(node, "identity.yaml", _KEYS) or {}
    values = {_KEYS[name][0]: _KEYS[name][1](reader, value, name) for name, value in found.items()}
    return IdentitySettings(**{name: value for name, value in values.items() if value is not None})


def _type(reader: PlanReader, name: Scalar, node: Node) -> TypeSettings:
    reader.name(name, "the type of an identifier", _TYPE_NAME, "crm_id")
    found = reader.mapping(node, f"the type `{name.source}`", _TYPE_KEYS) or {}
    values = {key: _TYPE_KEYS[key](reader, value, key) for key, value in found.items()}
    return TypeSettings(name.source, **{key: value for key, value in values.items() if value is not None})


def _types(reader: PlanReader, node: Node, what: str) -> tuple[TypeSettings, ...]:
    read = tuple(_type(reader, key, value) for key, value in (reader.entries(node, what) or {}).values())
    owners: dict[str, str] = {}
    for each in read:
        for name in each.from_properties:
            if owners.setdefault(name, each.name) != each.name:
                reader.problem(node, f"The property `{name}` feeds both `{owners[name]}` and `{each.name}`; keep one.")
    return read


def _names(reader: PlanReader, node: Node, what: str) -> tuple[str, ...]:
    names: list[str] = []
    for item in reader.items(node, what) or ():
        name = reader.name(item, f"an item of {what}", _TYPE_NAME, "crm_id")
        if name in names:
            reader.problem(item, f"`{name}` is here a second time; keep one.")
        elif name is not None:
            names.append(name)
    return tuple(names)


def _values(reader: PlanReader, node: Node, what: str) -> tuple[str, ...]:
    """Blocked values: unlike elsewhere `0` and `null` may go without quotes, for they are compared as text."""
    values: list[str] = []
    for item in reader.items(node, what) or ():
        if isinstance(item, Scalar):
            values.append(item.source)
        else:
            reader.text(item, f"an item of {what}")
    return tuple(values)


def _patterns(reader: PlanReader, node: Node, what: str) -> tuple[str, ...]:
    read = [reader.pattern(item, f"an item of {what}") for item in reader.items(node, what) or ()]
    return tuple(pattern for pattern in read if pattern is not None)


def _region(reader: PlanReader, node: Node, what: str) -> str | None:
    from phonenumbers import SUPPORTED_REGIONS  # its tables cost start-up time that only a stated region is worth

    region = reader.text(node, what)
    if region is not None and region not in SUPPORTED_REGIONS:
        reader.problem(node, f"{what} cannot be `{shown(region)}`; it is a country's two letters, like DE or GB.")
        return None
    return region


_Read = Callable[[PlanReader, Node, str], Any]

_KEYS: Mapping[str, tuple[str, _Read]] = {
    "priority": ("priority", _names),
    "types": ("types", _types),
    "trust_alias": ("trust_alias", PlanReader.boolean),
    "default_region": ("default_region", _region),
    "remember_message_ids": (
        "forget_after",
        lambda reader, node, what: reader.duration(node, what, instant.HOUR, 90 * instant.DAY),
    ),
    "block": ("block", _values),
    "block_patterns": ("block_patterns", _patterns),
}
"""Key of identity.yaml -> (field of IdentitySettings, how it is read)."""

_TYPE_KEYS: Mapping[str, _Read] = {
    "from_properties": PlanReader.texts,
    "cap": lambda reader, node, what: reader.integer(node, what, 1, 1_000),
    "unique": PlanReader.boolean,
    "normalize": lambda reader, node, what: reader.choice(node, what, ("email", "phone", "none")),
    "suspect_above": lambda reader, node, what: reader.integer(node, what, 1, 1_000_000),
    "block": _values,
    "block_patterns": _patterns,
}
"""Key of a type = field of TypeSettings -> how it is read."""
