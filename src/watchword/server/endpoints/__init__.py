"""One file per endpoint, or per kind of them: a request in, an answer out."""
