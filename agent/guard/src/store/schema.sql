-- The guard database. Every rule here refuses by itself, whatever program writes: rows are only ever added.
-- INSERT OR REPLACE deletes without firing delete triggers, so that each table also refuses to insert over a row.

CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    schema INTEGER NOT NULL CHECK (schema = 2),
    chain_id INTEGER NOT NULL CHECK (chain_id > 0),
    genesis BLOB NOT NULL CHECK (length(genesis) = 32),
    token BLOB NOT NULL CHECK (length(token) = 20),
    registry BLOB NOT NULL CHECK (length(registry) = 20),
    market BLOB NOT NULL CHECK (length(market) = 20),
    book BLOB NOT NULL CHECK (length(book) = 20),
    profiles BLOB NOT NULL CHECK (length(profiles) = 20),
    router BLOB NOT NULL CHECK (length(router) = 20),
    address BLOB NOT NULL CHECK (length(address) = 20),
    role TEXT NOT NULL CHECK (role IN ('operator', 'client')),
    created INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT;
CREATE TRIGGER meta_insert BEFORE INSERT ON meta WHEN EXISTS (SELECT 1 FROM meta)
BEGIN SELECT RAISE(ABORT, 'G7: the database is pinned to its chain, contracts and key'); END;
CREATE TRIGGER meta_update BEFORE UPDATE ON meta
BEGIN SELECT RAISE(ABORT, 'G7: the database is pinned to its chain, contracts and key'); END;
CREATE TRIGGER meta_delete BEFORE DELETE ON meta
BEGIN SELECT RAISE(ABORT, 'G7: the database is pinned to its chain, contracts and key'); END;

-- The client that a job's first receipt named.
CREATE TABLE job (
    job INTEGER PRIMARY KEY CHECK (job >= 0),
    client BLOB NOT NULL CHECK (length(client) = 20)
) STRICT;
CREATE TRIGGER job_insert BEFORE INSERT ON job WHEN EXISTS (SELECT 1 FROM job WHERE job = NEW.job)
BEGIN SELECT RAISE(ABORT, 'G2: a job keeps its client'); END;
CREATE TRIGGER job_update BEFORE UPDATE ON job
BEGIN SELECT RAISE(ABORT, 'G2: a job keeps its client'); END;
CREATE TRIGGER job_delete BEFORE DELETE ON job
BEGIN SELECT RAISE(ABORT, 'G2: a job keeps its client'); END;

-- One signed statement per number. An operator's row holds the client's order and the own receipt, a client's row the
-- own order alone. Own signatures are not kept: they follow from the content (RFC 6979).
CREATE TABLE segment (
    job INTEGER NOT NULL REFERENCES job (job),
    seq INTEGER NOT NULL CHECK (seq >= 0),
    src_root BLOB NOT NULL CHECK (length(src_root) = 32),
    src_bytes INTEGER NOT NULL CHECK (src_bytes >= 0),
    duration_ms INTEGER NOT NULL CHECK (duration_ms >= 0),
    client_signature BLOB CHECK (length(client_signature) = 65),
    out_root BLOB CHECK (length(out_root) = 32),
    units INTEGER CHECK (units >= 0 AND units < 1099511627776),
    out_bytes INTEGER CHECK (out_bytes >= 0),
    created INTEGER NOT NULL DEFAULT (unixepoch()),
    PRIMARY KEY (job, seq),
    CHECK ((out_root IS NULL) = (client_signature IS NULL)
       AND (out_root IS NULL) = (units IS NULL)
       AND (out_root IS NULL) = (out_bytes IS NULL))
) STRICT, WITHOUT ROWID;
CREATE TRIGGER segment_insert BEFORE INSERT ON segment
WHEN EXISTS (SELECT 1 FROM segment WHERE job = NEW.job AND seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'G6: a segment number holds one content'); END;
CREATE TRIGGER segment_update BEFORE UPDATE ON segment
BEGIN SELECT RAISE(ABORT, 'G6: a segment number holds one content'); END;
CREATE TRIGGER segment_delete BEFORE DELETE ON segment
BEGIN SELECT RAISE(ABORT, 'G12: signed statements are not deleted'); END;

-- An account nonce and the one call it is for: keccak256(recipient || value || calldata).
CREATE TABLE nonce (
    n INTEGER PRIMARY KEY CHECK (n >= 0),
    call_hash BLOB NOT NULL CHECK (length(call_hash) = 32),
    kind TEXT NOT NULL CHECK (kind <> ''),
    created INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT;
CREATE TRIGGER nonce_insert BEFORE INSERT ON nonce WHEN EXISTS (SELECT 1 FROM nonce WHERE n = NEW.n)
BEGIN SELECT RAISE(ABORT, 'G10: a nonce is bound to one call'); END;
CREATE TRIGGER nonce_update BEFORE UPDATE ON nonce
BEGIN SELECT RAISE(ABORT, 'G10: a nonce is bound to one call'); END;
CREATE TRIGGER nonce_delete BEFORE DELETE ON nonce
BEGIN SELECT RAISE(ABORT, 'G10: a nonce is bound to one call'); END;

CREATE TABLE claim (
    job INTEGER NOT NULL REFERENCES job (job),
    first INTEGER NOT NULL CHECK (first >= 0),
    count INTEGER NOT NULL CHECK (count BETWEEN 1 AND 4096),
    root BLOB NOT NULL CHECK (length(root) = 32),
    units INTEGER NOT NULL CHECK (units >= 0),
    nonce INTEGER NOT NULL UNIQUE REFERENCES nonce (n),
    PRIMARY KEY (job, first)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER claim_nonce BEFORE INSERT ON claim WHEN EXISTS (SELECT 1 FROM claim WHERE nonce = NEW.nonce)
BEGIN SELECT RAISE(ABORT, 'G1: a claim has a nonce of its own'); END;
CREATE TRIGGER claim_contiguous BEFORE INSERT ON claim
WHEN NEW.first <> coalesce((SELECT max(first + count) FROM claim WHERE job = NEW.job), 0)
BEGIN SELECT RAISE(ABORT, 'G1: claims of a job neither overlap nor leave a gap'); END;
CREATE TRIGGER claim_proven BEFORE INSERT ON claim WHEN
    (SELECT count(*) FROM segment WHERE job = NEW.job AND seq >= NEW.first AND seq < NEW.first + NEW.count
        AND out_root IS NOT NULL) <> NEW.count
BEGIN SELECT RAISE(ABORT, 'G2: every claimed segment needs its receipt'); END;
CREATE TRIGGER claim_units BEFORE INSERT ON claim WHEN
    (SELECT sum(units) FROM segment WHERE job = NEW.job AND seq >= NEW.first AND seq < NEW.first + NEW.count)
        <> NEW.units
BEGIN SELECT RAISE(ABORT, 'G2: a claim has the units of its receipts'); END;
CREATE TRIGGER claim_update BEFORE UPDATE ON claim
BEGIN SELECT RAISE(ABORT, 'G1: a claim on record does not change'); END;
CREATE TRIGGER claim_delete BEFORE DELETE ON claim
BEGIN SELECT RAISE(ABORT, 'G1: a claim on record does not change'); END;
