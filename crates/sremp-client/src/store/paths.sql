-- Version 5: the user's word on direct connections with single contacts.

-- Only contacts about whom something else was said than that the setting holds.
CREATE TABLE contact_direct (
    contact INTEGER PRIMARY KEY REFERENCES contact ON DELETE CASCADE,
    choice  INTEGER NOT NULL
) STRICT;
-- whether anybody is off is asked at every step
CREATE INDEX contact_direct_choice ON contact_direct (choice);
