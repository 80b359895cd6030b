-- Whoever has a mailbox, stored something or is named in a rule: a small number for a key.
CREATE TABLE party (
    id  INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE
);

CREATE TABLE mailbox (
    id   INTEGER PRIMARY KEY, -- a party
    open INTEGER NOT NULL,    -- 0 after a purge: the row stays, so that no cursor is used twice
    next INTEGER NOT NULL,    -- the least next cursor, unless an item of the mailbox has a later one
    used INTEGER NOT NULL     -- when its owner was last here, ms, rounded
);

-- Who may write, and who may not.
CREATE TABLE rule (
    mailbox  INTEGER NOT NULL,
    sender   INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    PRIMARY KEY (mailbox, sender)
) WITHOUT ROWID;

CREATE TABLE intro (
    mailbox  INTEGER NOT NULL,
    hash     BLOB NOT NULL,
    one_time INTEGER NOT NULL, -- 2 if a message was stored with it
    PRIMARY KEY (mailbox, hash)
) WITHOUT ROWID;

CREATE TABLE bundle (
    mailbox INTEGER PRIMARY KEY,
    bytes   BLOB NOT NULL
);

CREATE TABLE one_time (
    id      INTEGER PRIMARY KEY,
    mailbox INTEGER NOT NULL,
    bytes   BLOB NOT NULL
);
CREATE INDEX one_time_of ON one_time (mailbox);

-- Who was given a one-time prekey in the last hour: a key, or the hash of a one-time token.
CREATE TABLE given (
    mailbox INTEGER NOT NULL,
    asker   BLOB NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (mailbox, asker)
) WITHOUT ROWID;

-- Other relays to which confirmations go.
CREATE TABLE relay (
    id   INTEGER PRIMARY KEY,
    key  BLOB NOT NULL,
    host TEXT NOT NULL,
    port INTEGER NOT NULL,
    UNIQUE (key, host, port)
);

-- One row for a message until its expiry, narrow, in the order of arrival. There is no further
-- index: a B-tree over random keys would cost one more page for each message. What leads from
-- mailboxes and message ids to rows is in memory, and made anew at the start.
CREATE TABLE item (
    id         INTEGER PRIMARY KEY,
    mailbox    INTEGER NOT NULL,
    sender     INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    cursor     INTEGER NOT NULL,
    size       INTEGER NOT NULL, -- of the envelope
    request    INTEGER NOT NULL, -- 1: counts to the request class
    gone       INTEGER NOT NULL, -- 1: fetched; the row answers whoever sends it again
    expires    INTEGER NOT NULL,
    stored     INTEGER NOT NULL,
    relay      INTEGER,          -- where the confirmation goes, if not to this relay
    hash       BLOB NOT NULL,
    head       BLOB              -- the first bytes of the envelope
);

-- The rest of each envelope. 48 bytes are in `head`, so that powers of two with their row headers
-- fill pages of 4 KiB: four envelopes of 1 KiB instead of three, two of 2 KiB instead of one.
CREATE TABLE body (
    id    INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL
);

CREATE TABLE confirmation (
    id           INTEGER PRIMARY KEY AUTOINCREMENT, -- no id means two, also after a restart
    sender       INTEGER NOT NULL, -- a party
    relay        INTEGER,          -- waits for this relay, else for the sender here
    message_id   INTEGER NOT NULL,
    delivered_to BLOB NOT NULL,
    at           INTEGER NOT NULL,
    hash         BLOB NOT NULL,
    signature    BLOB NOT NULL,
    expires      INTEGER NOT NULL
);
