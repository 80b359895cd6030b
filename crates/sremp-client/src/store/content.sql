-- Version 3: what is done to messages after they were written, and messages that disappear.

-- What became of a message. seq and at are of the author's newest edit or deletion; event is the last
-- that told of it.
CREATE TABLE message_change (
    message INTEGER PRIMARY KEY REFERENCES message ON DELETE CASCADE,
    fate    INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    event   INTEGER
) STRICT;

-- Which message a message answers; it need not be known here.
CREATE TABLE message_reply (
    message INTEGER PRIMARY KEY REFERENCES message ON DELETE CASCADE,
    answers BLOB NOT NULL
) STRICT;

-- One row for each person and message, also when the reaction was taken back: seq decides which is
-- the newest.
CREATE TABLE reaction (
    message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
    own     INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    event   INTEGER,
    text    TEXT NOT NULL,
    PRIMARY KEY (message, own)
) STRICT, WITHOUT ROWID;

-- What a contact said about a message that has not come: few, see store/changes.rs.
CREATE TABLE early_change (
    contact INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    msg_id  BLOB NOT NULL,
    kind    INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    text    TEXT NOT NULL,
    PRIMARY KEY (contact, msg_id, kind)
) STRICT, WITHOUT ROWID;

-- After how long new messages of a conversation disappear, 0 for never; the line and the event that
-- tell of it.
CREATE TABLE timer (
    contact INTEGER PRIMARY KEY REFERENCES contact ON DELETE CASCADE,
    seconds INTEGER NOT NULL,
    sent    INTEGER NOT NULL,
    line    INTEGER,
    event   INTEGER
) STRICT;

-- When a message disappears; no time while nobody has read it.
CREATE TABLE message_expiry (
    message INTEGER PRIMARY KEY REFERENCES message ON DELETE CASCADE,
    seconds INTEGER NOT NULL,
    at      INTEGER
) STRICT;
CREATE INDEX message_expiry_at ON message_expiry (at) WHERE at IS NOT NULL;

-- One's own contents that are no line of a conversation, and how far each has come.
CREATE TABLE action (
    msg_id    BLOB NOT NULL,
    contact   INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    made      INTEGER NOT NULL,
    status    INTEGER NOT NULL,
    status_at INTEGER NOT NULL,
    path      INTEGER,
    PRIMARY KEY (msg_id, contact)
) STRICT, WITHOUT ROWID;

-- Events name their message; its text stands in the history alone, from where it can be taken away.
UPDATE event SET json = json_set(json, '$.text', '')
WHERE json_extract(json, '$.event') IN ('message', 'request');
