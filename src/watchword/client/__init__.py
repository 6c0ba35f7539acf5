"""I am a client: tokens for calls to other services, and where they may be sent."""
