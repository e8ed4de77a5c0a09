-- Purpose: a number that orders events by time and parts events of one instant by their ids, as fast to compare as a
-- number. Temporary: it takes nobody's name.

CREATE TEMP MACRO moment(occurred_at, message_id) AS
    CAST(epoch_us(occurred_at) AS HUGEINT) * 18446744073709551616 + hash(message_id);
