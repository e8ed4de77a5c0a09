-- Purpose: the value that a call named for one type of identifier. Views of raw use it, so it stays in the database.

CREATE MACRO raw.identifier_of(identifiers, wanted) AS
    substr(list_filter(identifiers, lambda key : starts_with(key, wanted || ':'))[1], length(wanted) + 2);
