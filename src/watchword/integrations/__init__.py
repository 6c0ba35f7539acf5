"""Thin adapters of the `Watchword` object to web frameworks; one file per framework, each alone."""
