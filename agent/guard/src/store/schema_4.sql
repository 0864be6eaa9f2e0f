-- What schema 4 adds. Contracts that the database was pinned to later than to the others: those that a deployment did not
-- name when the database was made, or that its release did not know.
CREATE TABLE pin (
    name TEXT PRIMARY KEY CHECK (name IN ('rewards', 'active_set')),
    place BLOB NOT NULL CHECK (length(place) = 20 AND place <> zeroblob(20))
) STRICT, WITHOUT ROWID;
CREATE TRIGGER pin_insert BEFORE INSERT ON pin WHEN EXISTS (SELECT 1 FROM pin WHERE name = NEW.name)
BEGIN SELECT RAISE(ABORT, 'G7: the database is pinned to its chain, contracts and key'); END;
CREATE TRIGGER pin_update BEFORE UPDATE ON pin
BEGIN SELECT RAISE(ABORT, 'G7: the database is pinned to its chain, contracts and key'); END;
CREATE TRIGGER pin_delete BEFORE DELETE ON pin
BEGIN SELECT RAISE(ABORT, 'G7: the database is pinned to its chain, contracts and key'); END;
