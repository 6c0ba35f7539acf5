"""What a token is: algorithms, keys, claims and the one strict `verify`. Pure: no clock, no I/O."""
