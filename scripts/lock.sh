#!/bin/sh
# Pins every dependency with its hashes, for CPython 3.11-3.13 on every platform.
# The files name versions and hashes only, never where a copy was fetched.
set -eu
cd "$(dirname "$0")/.."
for name in demo dev audit; do
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-package watchword \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate --upgrade \
        "requirements/$name.in" --output-file "requirements/$name.txt"
    echo "requirements/$name.txt: $(grep -c '==' "requirements/$name.txt") packages"
done
