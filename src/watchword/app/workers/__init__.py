"""A token service of several processes on one database.

```
 supervisor     what was started: holds folder and sockets, replaces who dies; no thread, key or connection
 ├── keeper     applies the trust document, rotates the keys, forgets what is over, serves the operator
 ├── worker 1   answers at LISTEN
 └── worker 2   …
```

The supervisor only forks, which is safe at any time for a process without threads and connections.
"""
