"""What an operator can do, without HTTP: one file per noun, one row of `OPERATIONS` per operation."""
