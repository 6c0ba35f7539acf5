-- Deeds, in the order in which they were written. The chain columns are filled by the release that seals the chain.
CREATE TABLE audit_event (
  sequence      INTEGER PRIMARY KEY AUTOINCREMENT,
  writer        TEXT NOT NULL,
  time          REAL NOT NULL,
  type          TEXT NOT NULL,
  outcome       TEXT NOT NULL CHECK (outcome IN ('allowed', 'refused')),
  actor         TEXT,
  client        TEXT,
  subject       TEXT,
  audience      TEXT,
  jti           TEXT,
  parent_jti    TEXT,
  txn           TEXT,
  kid           TEXT,
  reason        TEXT,
  request_id    TEXT,
  previous_hash BLOB,
  hash          BLOB
) STRICT;

-- Values that work once. The primary key is what makes it once.
CREATE TABLE consumed (
  kind    TEXT NOT NULL,
  id      TEXT NOT NULL,
  expires REAL NOT NULL,
  PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX consumed_by_expiry ON consumed (expires);

-- How many live tokens a key still has, by the minute in which they expire. There is no table of tokens.
CREATE TABLE token_expiry (
  minute INTEGER NOT NULL,
  kid    TEXT NOT NULL,
  tokens INTEGER NOT NULL,
  PRIMARY KEY (minute, kid)
) STRICT, WITHOUT ROWID;

-- Refusals of those who proved nothing: counted, with the first samples of each minute.
CREATE TABLE refusal (
  minute   INTEGER NOT NULL,
  reason   TEXT NOT NULL,
  refusals INTEGER NOT NULL,
  PRIMARY KEY (minute, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE refusal_sample (
  minute INTEGER NOT NULL,
  reason TEXT NOT NULL,
  number INTEGER NOT NULL,
  event  TEXT NOT NULL,
  PRIMARY KEY (minute, reason, number)
) STRICT, WITHOUT ROWID;

-- Every trust document that was ever in force; the highest version is.
CREATE TABLE trust_document (
  version       INTEGER PRIMARY KEY AUTOINCREMENT,
  digest        TEXT NOT NULL,
  source_digest TEXT,
  document      BLOB NOT NULL,
  applied_at    REAL NOT NULL
) STRICT;

-- One row: who writes here, and how often this database was opened. The file `epoch` beside it counts too,
-- so that a restored copy is noticed.
CREATE TABLE installation (
  id     INTEGER PRIMARY KEY CHECK (id = 1),
  writer TEXT NOT NULL,
  epoch  INTEGER NOT NULL
) STRICT;
