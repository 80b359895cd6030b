-- Version 6: which rows have changed since when, for the screens of this home (decision 19). Triggers of
-- the connection fill it while the built-in relay is on: see store/screens.rs. A row that changes again
-- moves to the end.
CREATE TABLE change (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    row  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX change_row ON change (kind, row);
