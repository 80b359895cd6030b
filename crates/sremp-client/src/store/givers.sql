-- Version 11: who gave the bundle with which a session was begun here.

ALTER TABLE session ADD COLUMN giver BLOB;
