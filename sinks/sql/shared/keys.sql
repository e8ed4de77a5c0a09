-- Purpose: identifier keys and profile ids, by the rules of schemas/keys.py. Temporary: they take nobody's names.

-- uuid5 (RFC 9562 section 5.5) in Rapport's namespace: schemas.keys.profile_id of a key that was never erased.
CREATE TEMP MACRO uuid5_of_digest(digest) AS
    substr(digest, 1, 8) || '-' || substr(digest, 9, 4) || '-5' || substr(digest, 14, 3) || '-'
    || translate(substr(digest, 17, 1), '0123456789abcdef', '89ab89ab89ab89ab') || substr(digest, 18, 3) || '-'
    || substr(digest, 21, 12);

CREATE TEMP MACRO profile_id_of(key) AS
    uuid5_of_digest(sha1(from_hex('7d9d3c1e52c65f0e9a530f6a5d1f7c21') || encode(key)));

CREATE TEMP MACRO type_of(key) AS left(key, strpos(key, ':') - 1);

CREATE TEMP MACRO value_of(key) AS substr(key, strpos(key, ':') + 1);
