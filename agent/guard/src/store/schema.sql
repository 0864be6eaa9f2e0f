-- The guard database. Every rule here refuses by itself, whatever program writes: rows are only ever added, and deleted
-- only below a job's floor. INSERT OR REPLACE deletes without firing delete triggers, so that each table also refuses to
-- insert over a row. Nothing here reads a clock (G11): `created` is for people.

-- The order in which records were added, as a chain of hashes: hash = SHA-256(hash before || kind || digest), beginning
-- with zeros; digest = SHA-256 of the record as the interchange format writes it. An entry is added before its record, so
-- that no record can be added without one. SQL has no SHA-256: the hashes are `headframe guard check`'s to verify.
CREATE TABLE audit (
    n INTEGER PRIMARY KEY CHECK (n > 0),
    kind TEXT NOT NULL CHECK (kind IN ('job', 'segment', 'nonce', 'claim', 'floor', 'mark')),
    a INTEGER NOT NULL,
    b INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER audit_insert BEFORE INSERT ON audit WHEN NEW.n <> coalesce((SELECT max(n) FROM audit), 0) + 1
BEGIN SELECT RAISE(ABORT, 'audit: entries follow each other'); END;
CREATE TRIGGER audit_moved BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM mark WHERE name = 'moved')
BEGIN SELECT RAISE(ABORT, 'G8: the database was moved elsewhere and records nothing more'); END;
CREATE TRIGGER audit_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit: entries do not change'); END;
CREATE TRIGGER audit_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit: entries are not deleted'); END;

-- Numbers that only grow. 'generation': starts and backups so far; 'nonce_floor': account nonces below were used before
-- this database; 'moved': an export took this database's place.
CREATE TABLE mark (
    name TEXT NOT NULL CHECK (name IN ('generation', 'nonce_floor', 'moved')),
    value INTEGER NOT NULL CHECK (value >= 0),
    PRIMARY KEY (name, value)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER mark_insert BEFORE INSERT ON mark
WHEN NEW.value <= coalesce((SELECT max(value) FROM mark WHERE name = NEW.name), -1)
BEGIN SELECT RAISE(ABORT, 'G9: generations and floors only grow'); END;
CREATE TRIGGER mark_audit BEFORE INSERT ON mark WHEN NOT EXISTS (SELECT 1 FROM audit
    WHERE n = (SELECT max(n) FROM audit) AND kind = 'mark' AND b = NEW.value
        AND a = CASE NEW.name WHEN 'generation' THEN 0 WHEN 'nonce_floor' THEN 1 ELSE 2 END)
BEGIN SELECT RAISE(ABORT, 'audit: a record follows its entry'); END;
CREATE TRIGGER mark_update BEFORE UPDATE ON mark
BEGIN SELECT RAISE(ABORT, 'G9: generations and floors only grow'); END;
CREATE TRIGGER mark_delete BEFORE DELETE ON mark
BEGIN SELECT RAISE(ABORT, 'G9: generations and floors only grow'); END;

-- Nothing is signed for segments of the job below this number, whatever is on record.
CREATE TABLE floor (
    job INTEGER NOT NULL CHECK (job >= 0),
    below INTEGER NOT NULL CHECK (below > 0),
    PRIMARY KEY (job, below)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER floor_insert BEFORE INSERT ON floor
WHEN NEW.below <= coalesce((SELECT max(below) FROM floor WHERE job = NEW.job), 0)
BEGIN SELECT RAISE(ABORT, 'G12: a floor only rises'); END;
CREATE TRIGGER floor_audit BEFORE INSERT ON floor WHEN NOT EXISTS (SELECT 1 FROM audit
    WHERE n = (SELECT max(n) FROM audit) AND kind = 'floor' AND a = NEW.job AND b = NEW.below)
BEGIN SELECT RAISE(ABORT, 'audit: a record follows its entry'); END;
CREATE TRIGGER floor_update BEFORE UPDATE ON floor
BEGIN SELECT RAISE(ABORT, 'G12: a floor only rises'); END;
CREATE TRIGGER floor_delete BEFORE DELETE ON floor
BEGIN SELECT RAISE(ABORT, 'G12: a floor only rises'); END;

CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    schema INTEGER NOT NULL CHECK (schema = 3),
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
CREATE TRIGGER job_audit BEFORE INSERT ON job WHEN NOT EXISTS (SELECT 1 FROM audit
    WHERE n = (SELECT max(n) FROM audit) AND kind = 'job' AND a = NEW.job AND b = 0)
BEGIN SELECT RAISE(ABORT, 'audit: a record follows its entry'); END;
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
CREATE TRIGGER segment_floor BEFORE INSERT ON segment
WHEN NEW.seq < (SELECT max(below) FROM floor WHERE job = NEW.job)
BEGIN SELECT RAISE(ABORT, 'G12: nothing is signed below the floor'); END;
CREATE TRIGGER segment_audit BEFORE INSERT ON segment WHEN NOT EXISTS (SELECT 1 FROM audit
    WHERE n = (SELECT max(n) FROM audit) AND kind = 'segment' AND a = NEW.job AND b = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'audit: a record follows its entry'); END;
CREATE TRIGGER segment_update BEFORE UPDATE ON segment
BEGIN SELECT RAISE(ABORT, 'G6: a segment number holds one content'); END;
CREATE TRIGGER segment_delete BEFORE DELETE ON segment
WHEN OLD.seq >= coalesce((SELECT max(below) FROM floor WHERE job = OLD.job), 0)
BEGIN SELECT RAISE(ABORT, 'G12: signed statements above the floor are not deleted'); END;

-- An account nonce and the one call it is for: keccak256(recipient || value || calldata).
CREATE TABLE nonce (
    n INTEGER PRIMARY KEY CHECK (n >= 0),
    call_hash BLOB NOT NULL CHECK (length(call_hash) = 32),
    kind TEXT NOT NULL CHECK (kind <> ''),
    created INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT;
CREATE TRIGGER nonce_insert BEFORE INSERT ON nonce WHEN EXISTS (SELECT 1 FROM nonce WHERE n = NEW.n)
BEGIN SELECT RAISE(ABORT, 'G10: a nonce is bound to one call'); END;
CREATE TRIGGER nonce_floor BEFORE INSERT ON nonce
WHEN NEW.n < (SELECT max(value) FROM mark WHERE name = 'nonce_floor')
BEGIN SELECT RAISE(ABORT, 'G10: a nonce below the floor was used before'); END;
CREATE TRIGGER nonce_audit BEFORE INSERT ON nonce WHEN NOT EXISTS (SELECT 1 FROM audit
    WHERE n = (SELECT max(n) FROM audit) AND kind = 'nonce' AND a = NEW.n AND b = 0)
BEGIN SELECT RAISE(ABORT, 'audit: a record follows its entry'); END;
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
WHEN NEW.first <> max(coalesce((SELECT max(first + count) FROM claim WHERE job = NEW.job), 0),
    coalesce((SELECT max(below) FROM floor WHERE job = NEW.job), 0))
BEGIN SELECT RAISE(ABORT, 'G1: claims of a job neither overlap nor leave a gap'); END;
CREATE TRIGGER claim_proven BEFORE INSERT ON claim WHEN
    (SELECT count(*) FROM segment WHERE job = NEW.job AND seq >= NEW.first AND seq < NEW.first + NEW.count
        AND out_root IS NOT NULL) <> NEW.count
BEGIN SELECT RAISE(ABORT, 'G2: every claimed segment needs its receipt'); END;
CREATE TRIGGER claim_units BEFORE INSERT ON claim WHEN
    (SELECT sum(units) FROM segment WHERE job = NEW.job AND seq >= NEW.first AND seq < NEW.first + NEW.count)
        <> NEW.units
BEGIN SELECT RAISE(ABORT, 'G2: a claim has the units of its receipts'); END;
CREATE TRIGGER claim_audit BEFORE INSERT ON claim WHEN NOT EXISTS (SELECT 1 FROM audit
    WHERE n = (SELECT max(n) FROM audit) AND kind = 'claim' AND a = NEW.job AND b = NEW.first)
BEGIN SELECT RAISE(ABORT, 'audit: a record follows its entry'); END;
CREATE TRIGGER claim_update BEFORE UPDATE ON claim
BEGIN SELECT RAISE(ABORT, 'G1: a claim on record does not change'); END;
CREATE TRIGGER claim_delete BEFORE DELETE ON claim
WHEN OLD.first + OLD.count > coalesce((SELECT max(below) FROM floor WHERE job = OLD.job), 0)
BEGIN SELECT RAISE(ABORT, 'G12: a claim above the floor is not deleted'); END;
