-- Purpose: a number that orders events by time, those of one instant by their place in what they came in, and parts
-- what is left by their ids; as fast to compare as a number. Temporary: it takes nobody's name.

CREATE TEMP MACRO moment(occurred_at, sequence, message_id) AS
    CAST(epoch_us(occurred_at) AS HUGEINT) * 18446744073709551616
    + CAST(least(sequence, 2147483647) AS HUGEINT) * 4294967296 + (hash(message_id) >> 32);
