-- The keyrings, one for each purpose. `version` is for compare-and-set; `stamp` authenticates `state`, which
-- says everything of the keys that is no secret.
CREATE TABLE keyring (
  purpose TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  state   TEXT NOT NULL,
  stamp   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Each private key, sealed. That `thumbprint` is unique means: no key has two purposes.
CREATE TABLE keyring_record (
  purpose    TEXT NOT NULL REFERENCES keyring (purpose),
  kid        TEXT NOT NULL,
  thumbprint TEXT NOT NULL UNIQUE,
  record     BLOB NOT NULL,
  PRIMARY KEY (purpose, kid)
) STRICT, WITHOUT ROWID;
