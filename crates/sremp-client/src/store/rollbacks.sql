-- Version 7: what contacts were warned of.

-- The highest version of a contact's identity beside which an older one was shown, and the user told.
CREATE TABLE rollback (
    contact INTEGER PRIMARY KEY REFERENCES contact ON DELETE CASCADE,
    seen    INTEGER NOT NULL
) STRICT;
