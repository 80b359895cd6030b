-- Version 12: whether a message has left over a direct connection, so that its contact may have it.

ALTER TABLE message ADD COLUMN handed INTEGER NOT NULL DEFAULT 0;
