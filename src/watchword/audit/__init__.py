"""Deeds: what happened, to which token, on whose behalf."""
