"""The HTTP side of the token service: a plain ASGI application, and the protocol that guards its sockets."""
