-- Version 8: what went wrong for one message is told apart from what went wrong for others.

-- What went wrong on the way to a contact, directly (no relay) or at a relay: one row a cause, until
-- something arrives.
CREATE TABLE attempt_run (
    contact INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    relay   BLOB NOT NULL,
    cause   TEXT NOT NULL,
    first   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    -- 1: something has arrived since
    over    INTEGER NOT NULL,
    PRIMARY KEY (contact, relay, cause, first)
) STRICT, WITHOUT ROWID;
INSERT INTO attempt_run SELECT contact, relay, cause, first, last, count, 1 FROM attempt;
DROP TABLE attempt;
ALTER TABLE attempt_run RENAME TO attempt;
CREATE INDEX attempt_open ON attempt (contact) WHERE over = 0;
