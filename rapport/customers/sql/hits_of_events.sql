-- Purpose: whose events name a ticket or a cart by this id. Few events hold the text at all: only those are looked into.
INSERT INTO hit
SELECT bridge.profile_id, $term, true, any_value(found)
FROM (
    SELECT
        identifier_type,
        identifier_value,
        regexp_replace(regexp_extract(CAST(properties AS VARCHAR), $named, 1), '_?id', ' ', 'i')
            || regexp_extract(CAST(properties AS VARCHAR), $named, 2) AS found
    FROM raw.facts
    WHERE
        (
            contains(CAST(properties AS VARCHAR), $text)
            OR contains(CAST(properties AS VARCHAR), upper($text))
            OR contains(CAST(properties AS VARCHAR), lower($text))
        )
        AND regexp_matches(CAST(properties AS VARCHAR), $named)
)
INNER JOIN mart.bridge_identity AS bridge USING (identifier_type, identifier_value)
GROUP BY bridge.profile_id;
