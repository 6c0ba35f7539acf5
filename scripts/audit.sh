#!/bin/sh
# Compares every pinned dependency with a database of known vulnerabilities: audit.sh FOLDER
# Needs the network, and so is no part of `make test`. Exit code 1: something was found; 3: nothing was asked.
set -u
cd "$(dirname "$0")/.." || exit 1
venv=$1

python=${PYTHON:-python3}
if [ "$(cat "$venv/.installed-audit" 2>/dev/null)" != "$(cksum <requirements/audit.txt)" ]; then
    "$python" -m venv "$venv" &&
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/audit.txt ||
        { echo "watchword: could not install requirements/audit.txt into $venv; the lines above say why" >&2; exit 3; }
    cksum <requirements/audit.txt >"$venv/.installed-audit"
fi

# the files are whole and hashed, so nothing has to be resolved or downloaded; -e . is ours
status=0
for list in demo dev audit; do
    grep -v '^-e ' "requirements/$list.txt" >"$venv/$list.txt"
    echo "== requirements/$list.txt"
    said=$("$venv/bin/pip-audit" --vulnerability-service osv --osv-url "${OSV_URL:-https://api.osv.dev/v1/query}" \
        --progress-spinner off --disable-pip --require-hashes --requirement "$venv/$list.txt" 2>&1) &&
        echo "no known vulnerability" && continue
    case $said in
    *"known vulnerabilit"*"Name "*) printf '%s\n' "$said" && status=1 ;;
    *)
        printf '%s\n' "$said" | tail -n 1 >&2
        echo "watchword: NOTHING WAS AUDITED: expected the vulnerability database to answer, found the error above;" \
            "run this where it can be reached, or name a mirror in OSV_URL" >&2
        exit 3
        ;;
    esac
done
exit $status
