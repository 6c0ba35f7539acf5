#!/bin/sh
# Runs the unit tests on each CPython 3.11-3.13 on the PATH or under pyenv, each in an environment of its own.
set -u
cd "$(dirname "$0")/.." || exit 1
status=0
seen=""
for python in python3.11 python3.12 python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[123].*/bin/python3; do
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    case $version in 3.11 | 3.12 | 3.13) ;; *) continue ;; esac
    case " $seen " in *" $version "*) continue ;; esac
    seen="$seen $version"
    echo "== unit tests on CPython $version"
    make --no-print-directory unit PYTHON="$python" VENV=".venv-$version" || status=1
done
echo "ran on:${seen:- none}"
[ -n "$seen" ] || status=1
exit $status
