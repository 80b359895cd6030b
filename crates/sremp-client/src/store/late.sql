-- Version 10: lines that came after what stands below them.

ALTER TABLE message ADD COLUMN late INTEGER NOT NULL DEFAULT 0;
