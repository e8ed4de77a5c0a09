"""identity.yaml: the defaults, what each key changes, and all mistakes in one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiles.settings import DEFAULT, IdentitySettings, load_identity
from schemas import instant
from schemas.errors import PlanError

SHOP = Path(__file__).parents[1] / "examples" / "shop" / "identity.yaml"
STARTER = Path(__file__).parents[1] / "rapport" / "plan" / "templates" / "identity.yaml"


def problems_of(text: str | bytes) -> list[str]:
    with pytest.raises(PlanError) as caught:
        load_identity(text, "identity.yaml")
    return [str(problem) for problem in caught.value.problems]


def ordered(settings: IdentitySettings, *types: str) -> list[str]:
    return sorted(types, key=settings.rank)


def test_the_built_in_order_puts_other_types_by_name_between_phone_and_devices() -> None:
    strongest = ["user_id", "email", "phone", "crm_id", "zeta", "device_id", "advertising_id", "anonymous_id"]
    assert ordered(DEFAULT, *reversed(strongest)) == strongest


def test_a_file_changes_what_it_names_and_nothing_else() -> None:
    settings = load_identity(
        """
        priority: [user_id, crm_id]
        types:
          crm_id:
            from_properties: [crm_id, crmId]
            cap: 1
            unique: true
            block: [0, null, " 'C-0' "]
            block_patterns: ["^T"]
          landline: {normalize: phone}
          user_id: {unique: false}
        trust_alias: true
        default_region: DE
        remember_message_ids: 36h
        block: [Kiosk]
        block_patterns: ["@invalid$"]
        """,
        "identity.yaml",
    )
    types = ("anonymous_id", "email", "crm_id", "user_id", "landline", "device_id", "phone")
    assert ordered(settings, *types) == ["user_id", "crm_id", "email", "phone", "landline", "device_id", "anonymous_id"]
    assert (settings.cap("crm_id"), settings.cap("email")) == (1, 5)
    assert settings.unique == {"crm_id"}
    assert settings.properties == {"crm_id": "crm_id", "crmId": "crm_id"}
    assert (settings.trust_alias, DEFAULT.trust_alias) == (True, False)
    assert (settings.default_region, settings.forget_after) == ("DE", 36 * instant.HOUR)
    assert settings.terms("landline").normalizer == "phone"
    assert settings.terms("crm_id").blocked - settings.terms("email").blocked == {"c-0", "0"}
    assert settings.terms("email").blocked - DEFAULT.terms("email").blocked == {"kiosk"}
    assert [pattern.pattern for pattern in settings.terms("crm_id").patterns] == ["@invalid$", "^T"]
    assert settings.terms("crm_id").patterns[-1].search("test-1")
    assert hash(settings) != hash(DEFAULT)


def test_an_empty_file_and_the_starter_file_are_the_defaults() -> None:
    assert load_identity("# nothing\n", "identity.yaml") == DEFAULT
    assert load_identity(STARTER.read_bytes(), "identity.yaml") == DEFAULT


def test_the_starter_file_holds_when_every_key_is_uncommented() -> None:
    text = STARTER.read_text()
    keys = ("# priority", "# types", "#   ", "# trust", "# default", "# block")
    lines = [line.removeprefix("# ") if line.startswith(keys) else line for line in text.splitlines()]
    settings = load_identity("\n".join(lines), "identity.yaml")
    assert settings.properties == {"crm_id": "crm_id"}
    assert settings.trust_alias
    assert settings.default_region == "DE"
    assert settings.block == ("kiosk",)


def test_all_mistakes_are_found_in_one_run() -> None:
    text = """\
priority: [user_id, user_id, "a:b", 5]
types:
  crm_id: {from_property: [crm_id], cap: 0, unique: yes, block: [[1]]}
  x: {from_properties: [a]}
  y: {from_properties: [a], normalize: Email}
trust_alias: 1
default_region: UK
remember_message_ids: 100d
typs: 1
block: none
"""
    assert problems_of(text) == [
        "identity.yaml:1:21: `user_id` is here a second time; keep one.",
        "identity.yaml:1:30: an item of priority cannot be `a:b`; write a name like `crm_id`.",
        'identity.yaml:1:37: an item of priority is `5`; it must be text; put quotes around it: "5".',
        "identity.yaml:3:3: The property `a` feeds both `x` and `y`; keep one.",
        "identity.yaml:3:12: `from_property` is unknown in the type `crm_id`. Did you mean `from_properties`?",
        "identity.yaml:3:42: cap is `0`; it must be a whole number from 1 to 1000.",
        "identity.yaml:3:53: unique is `yes`; it must be true or false.",
        "identity.yaml:3:66: an item of block is a list; it must be text.",
        "identity.yaml:5:40: normalize cannot be `Email`. Did you mean `email`?",
        "identity.yaml:6:14: trust_alias is `1`; it must be true or false.",
        "identity.yaml:7:17: default_region cannot be `UK`; it is a country's two letters, like DE or GB.",
        "identity.yaml:8:23: remember_message_ids is `100d`; it must be from 1h to 90d.",
        "identity.yaml:9:1: `typs` is unknown in identity.yaml. Did you mean `types`?",
        "identity.yaml:10:8: block is `none`; it must be a list, like `[first, second]`.",
    ]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("^(a", "is not a regular expression: missing ), unterminated subpattern at its character 2."),
        ("[[a]", "is not a clear regular expression: Possible nested set at position 1."),
        ("(a+)+$", "repeats a group or uses (?...); only (?:...) is possible."),
        ("(a|aa){30}", "repeats a group or uses (?...); only (?:...) is possible."),
        ("(?=a)", "repeats a group or uses (?...); only (?:...) is possible."),
        ("a*b*c*d*", "could take too long to match; 3 of * + {} and 12 of ? | are the most."),
        ("a?" * 13, "could take too long to match; 3 of * + {} and 12 of ? | are the most."),
    ],
)
def test_an_expression_that_is_wrong_or_could_hang_is_refused(pattern: str, problem: str) -> None:
    assert problems_of(f"block_patterns:\n  - '{pattern}'\n") == [
        f"identity.yaml:2:5: an item of block_patterns `{pattern}` {problem}"
    ]


@pytest.mark.parametrize(
    "pattern", ["^test", r"^\(+$", "^[*+?{]+$", "@(?:a|b)?.example$", r"^\d{4,}-x?$", "[]*+?]+", r"[\]*+]+"]
)
def test_ordinary_expressions_are_accepted(pattern: str) -> None:
    assert load_identity(f"block_patterns: ['{pattern}']", "identity.yaml").block_patterns == (pattern,)


def test_other_files_than_a_mapping_are_problems() -> None:
    assert problems_of("- a") == [
        "identity.yaml:1:1: identity.yaml is a list; it must be keys with values, like `name: value`."
    ]
    assert problems_of("block: [x]\n---\nblock: [y]") == [
        "identity.yaml:3:1: identity.yaml is one document; remove the `---` and what follows."
    ]
    assert problems_of(b"\xff")[0].startswith("identity.yaml:1:1: The file is not UTF-8")
    assert problems_of("a: [")[0].startswith("identity.yaml:1:5: This is not valid YAML")


def test_the_shop_reads_its_own_identifiers() -> None:
    settings = load_identity(SHOP.read_bytes(), "identity.yaml")
    assert settings.properties == {"crm_id": "crm_id", "loyalty_card": "loyalty_card"}
    assert settings.unique == {"user_id", "crm_id"}
    assert settings.cap("loyalty_card") == 3
