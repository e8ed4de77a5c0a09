-- Purpose: what some events came with: each event, or call that is no track, with each of its own properties or traits.
SELECT DISTINCT
    if(type = 'track', name, type) AS event,
    unnest(json_keys(if(type IN ('identify', 'group'), traits, properties))) AS field
FROM raw.facts
WHERE if(type = 'track', name, type) IN (SELECT unnest($events))
ORDER BY event, field;
