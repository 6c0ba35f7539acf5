"""The token service's use-cases without HTTP: `build` puts them together."""
