#!/bin/sh
# Makes an isolated environment from hash-pinned requirements: environment.sh FOLDER demo|dev
# Every failure says what was expected, what was found and what to do.
set -u
umask 022
cd "$(dirname "$0")/.." || exit 1
venv=$1
list=$2

fail() {
    echo "watchword: $1" >&2
    exit 1
}

python=${PYTHON:-}
if [ -z "$python" ]; then
    for candidate in python3 python3.13 python3.12 python3.11 python; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
fi
[ -n "$python" ] || fail "expected CPython 3.11 to 3.13 on the PATH, found none; install one, or name it: make PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null ||
    fail "expected $python to be CPython 3.11 to 3.13, found $("$python" --version 2>&1)"

stamp=$venv/.installed-$list
wanted=$(cat "requirements/$list.txt" pyproject.toml | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && "$venv/bin/python" -c 'import watchword' 2>/dev/null; then
    exit 0
fi

"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "expected the module venv of $("$python" --version 2>&1), found none; on Debian and Ubuntu: apt-get install python3-venv"
mkdir -p "$venv" 2>/dev/null && [ -w "$venv" ] ||
    fail "expected to write to $(pwd), but cannot create $venv there; use a folder of your own, or: make VENV=\$HOME/.cache/watchword"

echo "installing into $venv from requirements/$list.txt (hashes checked)"
if [ ! -x "$venv/bin/python" ]; then
    "$python" -m venv "$venv" || fail "could not create $venv with $python"
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "requirements/$list.txt" ||
    fail "could not install requirements/$list.txt; the lines above say which package, and why"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ||
    fail "could not install watchword itself; the lines above say why"
echo "$wanted" >"$stamp" || fail "could not write $stamp"
