"""I am a resource server: which issuers I trust, their keys, the credential of a request, what it may do."""
