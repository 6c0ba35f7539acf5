"""Side by side with named peers: ratios of medians from interleaved runs (`make bench`)."""
