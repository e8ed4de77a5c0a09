"""Identifier keys, their partition and their profile id.

These three functions decide where every row lives; changing one orphans stored data, so golden vectors in
`tests/data/golden_keys.json` hold them still.
"""

from __future__ import annotations

import hashlib
import unicodedata
from uuid import UUID

NAMESPACE = UUID("7d9d3c1e-52c6-5f0e-9a53-0f6a5d1f7c21")
_NAMESPACE_BYTES = NAMESPACE.bytes


def key_of(type_: str, value: str) -> str:
    """The key of an identifier: `type:value`, Unicode NFC. `value` is already normalized by its type."""
    text = f"{type_}:{value}"
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def split_key(key: str) -> tuple[str, str]:
    """`(type, value)` of a key; the value may itself contain colons."""
    type_, _, value = key.partition(":")
    return type_, value


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2 (org.apache.kafka.common.utils.Utils.murmur2), unsigned."""
    length = len(data)
    h = 0x9747B28C ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little")
        k = (k * 0x5BD1E995) & 0xFFFFFFFF
        k ^= k >> 24
        k = (k * 0x5BD1E995) & 0xFFFFFFFF
        h = ((h * 0x5BD1E995) & 0xFFFFFFFF) ^ k
    if rest := data[whole:]:
        h ^= int.from_bytes(rest, "little")
        h = (h * 0x5BD1E995) & 0xFFFFFFFF
    h ^= h >> 13
    h = (h * 0x5BD1E995) & 0xFFFFFFFF
    return h ^ (h >> 15)


def partition_of(key: str, partitions: int) -> int:
    """The home partition of an identifier, as Kafka's default partitioner would choose it."""
    if partitions == 1:
        return 0
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def profile_id(key: str) -> str:
    """The profile an identifier is born with: uuid5 (RFC 9562 section 5.5) of its key."""
    return uuid5_of(key)


def uuid5_of(name: str) -> str:
    """uuid5 in Rapport's namespace, written out: a tenth of the cost of building a `UUID` first."""
    digest = hashlib.sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"
