-- Version 2: what rendezvous servers have told, and where else to ask.

-- The newest RECORD of a contact. Its seq counts when its places do no longer: nothing older is taken.
CREATE TABLE found_place (
    contact   INTEGER PRIMARY KEY REFERENCES contact ON DELETE CASCADE,
    seq       INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    endpoints TEXT NOT NULL,
    relays    TEXT NOT NULL
) STRICT;

-- Servers that a contact's card names: asked for that contact only.
CREATE TABLE card_server (
    contact INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
    host    TEXT NOT NULL,
    port    INTEGER NOT NULL,
    PRIMARY KEY (contact, host, port)
) STRICT, WITHOUT ROWID;

-- Servers of which others have told, and who: used by nobody until the user chooses one (D5.7).
CREATE TABLE candidate (
    server    BLOB PRIMARY KEY,
    source    BLOB NOT NULL,
    record    BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT, WITHOUT ROWID;
