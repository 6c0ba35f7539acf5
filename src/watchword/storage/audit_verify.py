"""Verifying the audit of a database: every event against its chain, every chain against signed statements."""

from watchword.audit.report import Report, Statements
from watchword.audit.verification import Verifier
from watchword.storage.audit_file import AuditFile, StoredCheckpoint


def verify_database(audit: AuditFile, statements: Statements) -> Report:
    """Return what the audit of a database comes to, on one snapshot of it.

    Args:
        audit: the database.
        statements: reads its anchor and checkpoints, and has those that were kept elsewhere.

    Raises:
        sqlite3.Error: it cannot be read.
        StoreCorrupt: what says where the chain begins is not there.
    """
    with audit.snapshot():
        stored = audit.anchor()
        anchor = None if stored is None else statements.anchor(stored.statement)
        if stored is not None and anchor is not None and anchor.sequence != stored.sequence:
            statements.wrong(f"the anchor says event {anchor.sequence}, its row says {stored.sequence}")
        verifier = Verifier(unchained=audit.unchained(), anchor=anchor)
        number = None
        for row in audit.checkpoints():
            if number is not None and row.number != number + 1:
                statements.wrong(f"checkpoints {number + 1} to {row.number - 1} are missing")
            number = row.number
            _expect(row, statements, verifier)
        for checkpoint in statements.exported:
            verifier.expect(checkpoint, "the checkpoint that was kept")
        for event in audit.events():
            verifier.add(event)
        verifier.end(audit.tails())
    return statements.report(verifier, forgotten=0 if anchor is None else anchor.sequence)


def _expect(row: StoredCheckpoint, statements: Statements, verifier: Verifier) -> None:
    name = f"checkpoint {row.number}"
    checkpoint = statements.read(row.statement, name)
    if checkpoint is None:
        return
    if (checkpoint.iat, checkpoint.sequence) != (row.time, row.sequence):
        statements.wrong(f"{name} and its row do not say the same")
    verifier.expect(checkpoint, name)
