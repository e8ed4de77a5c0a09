-- Purpose: the words of trait values that the word of a search may have meant, the most frequent first.
SELECT first(word ORDER BY word) AS word
FROM (
    SELECT unnest(regexp_extract_all(array_to_string(traits ->> '$.*', chr(10)), $pattern, 1)) AS word
    FROM mart.dim_customer
    WHERE regexp_matches(CAST(traits AS VARCHAR), $pattern)
)
GROUP BY lower(word)
ORDER BY count(*) DESC, lower(word)
LIMIT 5;
