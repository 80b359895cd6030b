-- Version 9: receipts whose envelopes count no more.

-- over: the contact was restored since; it cannot have read the envelope after that, and what it confirmed
-- before says nothing of what it has now.
ALTER TABLE receipt ADD COLUMN over INTEGER NOT NULL DEFAULT 0;
DROP INDEX receipt_age;
CREATE INDEX receipt_age ON receipt (received);
