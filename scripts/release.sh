#!/bin/sh
# Builds wheel, sdist, bill of materials and checksums of the last commit: release.sh VENV FOLDER
# What is built is what `git archive` gives, so nothing that lies about in the folder can get in. Twice gives the same bytes.
set -eu
cd "$(dirname "$0")/.."
python=$(cd "$1" && pwd)/bin/python
mkdir -p "$2"
out=$(cd "$2" && pwd)

commit=$(git rev-parse --verify --quiet HEAD) ||
    { echo "watchword: expected a git repository with a commit, found none in $(pwd)" >&2; exit 1; }
[ -z "$(ls -A "$out")" ] ||
    { echo "watchword: expected an empty folder for the release, found files in $out; name another: make release OUT=…" >&2; exit 1; }
[ -z "$(git status --porcelain --untracked-files=no)" ] ||
    echo "watchword: there are changes that are not committed; the release does not have them" >&2

source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
git archive "$commit" | tar -x -C "$source"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct "$commit")
export SOURCE_DATE_EPOCH

cd "$source"
"$python" -m hatchling build -t wheel -t sdist -d "$out" >/dev/null
wheel=$(ls "$out"/*.whl)
"$python" scripts/dependencies.py sbom "$wheel" >"${wheel%-py3-none-any.whl}.cdx.json"
cd "$out"
"$python" -c '
import hashlib, pathlib
for path in sorted(pathlib.Path().glob("watchword-*")):
    print(hashlib.sha256(path.read_bytes()).hexdigest(), "", path)
' >SHA256SUMS
echo "commit $commit, to compare with sha256sum -c SHA256SUMS:"
cat SHA256SUMS
