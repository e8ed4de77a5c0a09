-- Purpose: say what raw.identity holds. The publisher itself makes it: a view over the topic's Parquet files.

COMMENT ON VIEW raw.identity IS
    'Every decision of the linker as stored in Parquet; mart.fct_identity_decision shows it';
COMMENT ON COLUMN raw.identity.decision IS 'Number, in order';
COMMENT ON COLUMN raw.identity.kind IS 'merge, refuse or split';
COMMENT ON COLUMN raw.identity.a IS 'Identifier key that was asked about';
COMMENT ON COLUMN raw.identity.b IS 'The other one';
COMMENT ON COLUMN raw.identity.winner IS
    'Root key that holds the profile afterwards; after a refusal the stronger of the two';
COMMENT ON COLUMN raw.identity.loser IS 'Root key that was absorbed or left; after a refusal the weaker of the two';
COMMENT ON COLUMN raw.identity.moved IS 'Keys whose profile changed';
COMMENT ON COLUMN raw.identity.root IS 'Root key they belong to from then on; empty after a refusal';
COMMENT ON COLUMN raw.identity.reason IS
    'merge: named_together; refuse: unique_TYPE, cap_TYPE or negative_link; split: requested';
COMMENT ON COLUMN raw.identity.message_id IS 'The event that named both; empty after a split';
COMMENT ON COLUMN raw.identity.decided_at IS 'When it was decided, UTC, by the clock of its run';
