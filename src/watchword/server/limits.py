"""How much of anybody's time and memory one connection may take."""

MAX_BODY = 65_536
"""Bytes of a request body."""
MAX_OPERATION = 17 * 1024 * 1024
"""Bytes of an operator's request: the largest trust document, and room for what is said beside it."""
MAX_FIELDS = 64
"""Parameters in a form or a query."""
MAX_HEADER_BYTES = 16_384
"""Bytes of the request line and all header fields together."""
MAX_HEADER_FIELDS = 64
HEADER_SECONDS = 10.0
"""From the first moment of a connection, or of a further request on it, to the end of its header."""
BODY_SECONDS = 10.0
"""From the end of the header to the end of the body."""
KEEP_ALIVE_SECONDS = 30
"""How long a connection may idle between two requests."""
LINGER_SECONDS = 1.0
"""How long a refused client may take to read the refusal before the connection is gone."""
DRAIN_SECONDS = 0.5
"""How long, when the server stops, idle connections may still send a request that is already on its way."""
STOP_SECONDS = 20
"""How long requests in progress may take to finish when the server stops."""
