#!/bin/sh
# Installs what only the system's package manager has. Node.js runs the benchmark beside npm `jose`.
set -u
packages=""
command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 || packages="$packages nodejs npm"
python3 -c 'import venv, ensurepip' 2>/dev/null || packages="$packages python3-venv"
if [ -z "$packages" ]; then
    echo "system packages: nothing is missing"
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "watchword: expected apt-get to install:$packages; found none; install them with your package manager" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "watchword: expected to run as root to install:$packages; run: sudo make system-deps" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && exec apt-get install -y -qq --no-install-recommends $packages
