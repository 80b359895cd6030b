-- The client's database, version 1. Times are Unix milliseconds; keys, hashes and ids raw bytes;
-- enums the numbers of store/column.rs.

CREATE TABLE own_identity (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    identity_seed BLOB NOT NULL,
    noise_secret  BLOB NOT NULL,
    document      BLOB NOT NULL
) STRICT;

CREATE TABLE setting (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE prekey (
    kind    INTEGER NOT NULL,
    id      INTEGER NOT NULL,
    created INTEGER NOT NULL,
    secret  BLOB NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;
CREATE INDEX prekey_age ON prekey (kind, created);

-- What seldom changes of a contact; the wide columns stand last so that reading the others does
-- not walk over them.
CREATE TABLE contact (
    row              INTEGER PRIMARY KEY AUTOINCREMENT,
    key              BLOB NOT NULL UNIQUE,
    alias            TEXT,
    username         TEXT,
    standing         INTEGER NOT NULL,
    declined         INTEGER NOT NULL,
    trust            INTEGER NOT NULL,
    verified_via     INTEGER NOT NULL,
    trusted_at       INTEGER,
    first_seen       INTEGER NOT NULL,
    forked           INTEGER NOT NULL,
    confirmed        INTEGER NOT NULL,
    introduced       INTEGER NOT NULL,
    peer_profile_rev INTEGER NOT NULL,
    sent_profile_rev INTEGER NOT NULL,
    intro            BLOB,
    envelope_key     BLOB,
    endpoints        TEXT NOT NULL,
    relays           TEXT NOT NULL,
    identity         BLOB
) STRICT;
CREATE INDEX contact_request ON contact (declined) WHERE standing = 1;

-- What changes with every message: narrow, so that a page holds the counters of many contacts.
CREATE TABLE contact_flow (
    contact   INTEGER PRIMARY KEY REFERENCES contact ON DELETE CASCADE,
    last_seen INTEGER,
    next_seq  INTEGER NOT NULL,
    prev      BLOB NOT NULL,
    peer_seq  INTEGER NOT NULL,
    peer_prev BLOB NOT NULL
) STRICT;

CREATE TABLE contact_book (
    contact INTEGER PRIMARY KEY REFERENCES contact ON DELETE CASCADE,
    state   BLOB
) STRICT;

-- Highest version seen of every key, for ever: it outlives the contact (D2.5).
CREATE TABLE version_record (
    key           BLOB PRIMARY KEY,
    version       INTEGER NOT NULL,
    verified_hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE invite (
    token_hash BLOB PRIMARY KEY,
    created    INTEGER NOT NULL,
    expires    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    row     INTEGER PRIMARY KEY,
    id      BLOB NOT NULL UNIQUE,
    contact INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    state   BLOB NOT NULL
) STRICT;
CREATE INDEX session_contact ON session (contact);

-- The audit: which envelope each message key of ours encrypted.
CREATE TABLE key_use (
    session  BLOB NOT NULL,
    epoch    INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    PRIMARY KEY (session, epoch, n)
) STRICT, WITHOUT ROWID;

-- Deleted sessions whose audit is still kept; since is set by the first pruning that sees them.
CREATE TABLE ended_session (
    id    BLOB PRIMARY KEY,
    since INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    contact   INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    kind      INTEGER NOT NULL,
    msg_id    BLOB,
    seq       INTEGER NOT NULL,
    sent      INTEGER NOT NULL,
    received  INTEGER,
    status    INTEGER,
    status_at INTEGER,
    path      INTEGER,
    erased    INTEGER NOT NULL DEFAULT 0,
    text      TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX message_position ON message (contact, position);
CREATE UNIQUE INDEX message_msg_id ON message (msg_id, contact, kind) WHERE msg_id IS NOT NULL;
-- the sender's own order, for rows that come late; kind 1 is received
CREATE INDEX message_seq ON message (contact, seq, position) WHERE kind = 1;

-- The words of the history. No ranking is asked of it, hence no sizes are kept.
CREATE VIRTUAL TABLE message_text USING fts5 (
    text, content = 'message', content_rowid = 'id', columnsize = 0,
    tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO message_text (message_text, rank) VALUES ('secure-delete', 1);
-- every message is a small part of the index of its own; merging them later writes fewer pages
INSERT INTO message_text (message_text, rank) VALUES ('automerge', 16);
-- new messages are indexed together at the end of their transaction: see store/tx.rs
CREATE TRIGGER message_text_delete AFTER DELETE ON message BEGIN
    INSERT INTO message_text (message_text, rowid, text) VALUES ('delete', old.id, old.text);
END;
CREATE TRIGGER message_text_update AFTER UPDATE OF text ON message BEGIN
    INSERT INTO message_text (message_text, rowid, text) VALUES ('delete', old.id, old.text);
    INSERT INTO message_text (rowid, text) VALUES (new.id, new.text);
END;

-- AUTOINCREMENT: an item's number is never given again, so a reader's place stays true.
CREATE TABLE outbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    contact     INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    msg_id      BLOB NOT NULL,
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    session     BLOB,
    envelope_id BLOB,
    -- what a relay is told the envelope is called; when one first promised to keep it, and until when
    message_id  INTEGER,
    relay_at    INTEGER,
    relay_until INTEGER,
    content     BLOB NOT NULL,
    envelope    BLOB
) STRICT;
-- Also answers which item an envelope is: a search from the oldest, and those are confirmed first.
CREATE INDEX outbox_contact ON outbox (contact, id, expires, envelope_id);
-- what no relay keeps: thousands that one does keep are not walked over for one that is new
CREATE INDEX outbox_waiting ON outbox (contact, id) WHERE relay_until IS NULL;
CREATE INDEX outbox_relay ON outbox (relay_until) WHERE relay_until IS NOT NULL;

-- Contacts whose prekey bundle was fetched or asked for, and when it may be fetched again although
-- there is a session (D3.17).
CREATE TABLE bundle_due (
    contact INTEGER PRIMARY KEY REFERENCES contact ON DELETE CASCADE,
    at      INTEGER NOT NULL
) STRICT;

-- Relays that were used, one's own and others': how far one's own mailbox there was read, and the
-- hash of the senders that the relay was last told of.
CREATE TABLE relay (
    row     INTEGER PRIMARY KEY,
    key     BLOB NOT NULL UNIQUE,
    host    TEXT NOT NULL,
    port    INTEGER NOT NULL,
    cursor  INTEGER NOT NULL DEFAULT 0,
    senders BLOB
) STRICT;

-- Where relays are by the cards that the user added: not subject to the rule on private addresses.
CREATE TABLE given_relay (
    key  BLOB NOT NULL,
    host TEXT NOT NULL,
    port INTEGER NOT NULL,
    PRIMARY KEY (key, host, port)
) STRICT, WITHOUT ROWID;

-- Where contacts are by the cards that the user added: likewise.
CREATE TABLE given_endpoint (
    contact INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    host    TEXT NOT NULL,
    port    INTEGER NOT NULL,
    PRIMARY KEY (contact, host, port)
) STRICT, WITHOUT ROWID;

-- What was read and committed, and is still to be confirmed to the relay, or without a sender, to be
-- discarded there (D3.14).
CREATE TABLE relay_read (
    relay      INTEGER NOT NULL REFERENCES relay,
    cursor     INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    sender     BLOB,
    envelope   BLOB NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (relay, cursor)
) STRICT, WITHOUT ROWID;

-- Relays' signed promises to keep envelopes, and which message each was; kept beyond the envelope.
CREATE TABLE receipt (
    id         INTEGER PRIMARY KEY,
    contact    INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    msg_id     BLOB NOT NULL,
    relay      INTEGER NOT NULL REFERENCES relay,
    message_id INTEGER NOT NULL,
    envelope   BLOB NOT NULL,
    received   INTEGER NOT NULL,
    stored     INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    signature  BLOB NOT NULL
) STRICT;
CREATE INDEX receipt_message ON receipt (contact, msg_id);
CREATE INDEX receipt_envelope ON receipt (envelope, relay);
CREATE INDEX receipt_age ON receipt (expires);

-- Contacts' signed words that they have a message, by way of a relay.
CREATE TABLE confirmation (
    id         INTEGER PRIMARY KEY,
    contact    INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    msg_id     BLOB NOT NULL,
    relay      INTEGER NOT NULL REFERENCES relay,
    message_id INTEGER NOT NULL,
    envelope   BLOB NOT NULL,
    at         INTEGER NOT NULL,
    received   INTEGER NOT NULL,
    signature  BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX confirmation_message ON confirmation (contact, msg_id);
CREATE INDEX confirmation_age ON confirmation (received);

-- Received messages that a relay kept, and since when it says it did.
CREATE TABLE message_relay (
    message INTEGER PRIMARY KEY REFERENCES message ON DELETE CASCADE,
    relay   INTEGER NOT NULL REFERENCES relay,
    stored  INTEGER NOT NULL
) STRICT;

-- What went wrong on the way to a contact: one row a cause, directly (no relay) or at a relay.
CREATE TABLE attempt (
    contact INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    relay   BLOB NOT NULL,
    cause   TEXT NOT NULL,
    first   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (contact, relay, cause)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    at   INTEGER NOT NULL,
    json TEXT NOT NULL
) STRICT;

CREATE TABLE event_mark (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    acknowledged INTEGER NOT NULL
) STRICT;
INSERT INTO event_mark VALUES (1, 0);
