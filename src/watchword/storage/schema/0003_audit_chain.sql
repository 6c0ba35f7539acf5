-- Where each writer's chain of events ends, and how many events it ever had.
CREATE TABLE audit_chain (
  writer   TEXT NOT NULL PRIMARY KEY,
  sequence INTEGER NOT NULL,
  hash     BLOB NOT NULL,
  events   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: events up to this number are older than the chain and have no hash.
CREATE TABLE audit_unchained (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  sequence INTEGER NOT NULL
) STRICT;

INSERT INTO audit_unchained (id, sequence)
SELECT 1, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'audit_event'), 0);

-- Signed statements of where all chains were at a moment; `sequence` is the number of the last event then.
CREATE TABLE audit_checkpoint (
  number    INTEGER PRIMARY KEY AUTOINCREMENT,
  sequence  INTEGER NOT NULL,
  time      REAL NOT NULL,
  statement TEXT NOT NULL
) STRICT;

-- One row: the signed statement of what was forgotten, the events of all writers up to a number.
CREATE TABLE audit_anchor (
  id        INTEGER PRIMARY KEY CHECK (id = 1),
  sequence  INTEGER NOT NULL,
  statement TEXT NOT NULL
) STRICT;

-- One row: up to which number events were written to the log outside.
CREATE TABLE audit_log_position (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  sequence INTEGER NOT NULL
) STRICT;
