#!/bin/sh
# Installs the peers that `make bench` stands beside: npm packages, and Python packages in .venv-bench.
# Says in words what is missing; nothing here fails, since a peer that is not there is skipped loudly.
set -u
cd "$(dirname "$0")/.." || exit 1
venv=${VENV:-.venv}

if node -e 'process.exit(+(parseInt(process.versions.node) < 20))' 2>/dev/null; then
    stamp=benchmarks/node_modules/.installed
    if [ "$(cat "$stamp" 2>/dev/null)" != "$(cksum <benchmarks/package.json)" ]; then
        if npm install --prefix benchmarks --no-package-lock --no-audit --no-fund --loglevel=error; then
            cksum <benchmarks/package.json >"$stamp"
        else
            echo "watchword: could not install what benchmarks/package.json names; the lines above say why" >&2
        fi
    fi
else
    echo "watchword: expected Node.js 20 or newer, found $(node --version 2>/dev/null || echo none); run: make system-deps" >&2
fi

stamp=$venv-bench/.installed
if [ "$(cat "$stamp" 2>/dev/null)" != "$(cksum <benchmarks/requirements.txt)" ]; then
    if "$venv/bin/python" -m venv "$venv-bench" &&
        "$venv-bench/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r benchmarks/requirements.txt; then
        cksum <benchmarks/requirements.txt >"$stamp"
    else
        echo "watchword: could not install benchmarks/requirements.txt into $venv-bench; the lines above say why" >&2
    fi
fi
