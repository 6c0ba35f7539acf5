-- Clients whose credentials are not in the trust document, and clients that are disabled. A row stays for ever:
-- its version only grows, so the sum over all rows says whether anything changed.
CREATE TABLE client (
  client_id    TEXT PRIMARY KEY,
  registration TEXT NOT NULL,
  version      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
