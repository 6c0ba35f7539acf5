"""The composition root of the server: settings in, a running token service out."""
