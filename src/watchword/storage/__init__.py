"""Things that remember: SQLite now; another database is a second engine, not a second store."""
