-- Purpose: where a search gathers who has a term, and whether as a whole value; and whom it looks at closer (fields.sql).
CREATE TEMP TABLE hit (profile_id VARCHAR, term INTEGER, whole BOOLEAN, found VARCHAR);
CREATE TEMP TABLE wanted (profile_id VARCHAR);
