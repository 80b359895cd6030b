-- Version 4: homes that were restored from a backup or a copy.

-- Contacts of a restored home from whom nothing has come since. held: that the session begins anew has
-- not been sent on its way yet.
CREATE TABLE renewal (
    contact INTEGER PRIMARY KEY REFERENCES contact ON DELETE CASCADE,
    held    INTEGER NOT NULL
) STRICT;

-- seq of the newest word of a contact that it was restored: an older one, or the same again, is none.
CREATE TABLE restored (
    contact INTEGER PRIMARY KEY REFERENCES contact ON DELETE CASCADE,
    seq     INTEGER NOT NULL
) STRICT;
