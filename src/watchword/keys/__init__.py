"""The life of signing keys: keyring, states, and the `Issuer` that signs with them."""
