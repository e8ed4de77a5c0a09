-- Purpose: the addresses that an address of a search may have meant.
SELECT email AS word
FROM mart.dim_customer
WHERE length(email) BETWEEN length($address) - 1 AND length($address) + 1 AND damerau_levenshtein(email, $address) = 1
GROUP BY email
ORDER BY email
LIMIT 5;
