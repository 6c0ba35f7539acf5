#!/bin/sh
# Installs the strangers that `make interop` meets: Debian packages (as root), npm packages, OpenBao, Envoy, what Go and Java need.
# Says in words what is missing; fails only if WATCHWORD_REQUIRE_ALL=1, since their tests skip loudly.
set -u
cd "$(dirname "$0")/.." || exit 1
venv=${VENV:-.venv}
missing=0

miss() {
    echo "watchword: $1" >&2
    missing=1
}

packages=""
for pair in haproxy:haproxy nginx:nginx-light prometheus:prometheus npm:npm openssl:openssl apache2:apache2-bin \
    java:default-jdk-headless mvn:maven; do
    PATH="$PATH:/usr/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 || packages="$packages ${pair#*:}"
done
for module in auth_openidc:libapache2-mod-auth-openidc oauth2:libapache2-mod-oauth2; do
    [ -e "/usr/lib/apache2/modules/mod_${module%%:*}.so" ] || packages="$packages ${module#*:}"
done
[ -e /usr/lib/rabbitmq/bin/rabbitmq-server ] || packages="$packages rabbitmq-server"
[ -e /usr/lib/dovecot/imap ] || packages="$packages dovecot-imapd"
if [ -n "$packages" ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        miss "expected apt-get to install:$packages; found none; install them with your package manager"
    elif [ "$(id -u)" -ne 0 ]; then
        miss "expected to run as root to install:$packages; run: sudo make interop-deps"
    else
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages ||
            miss "could not install:$packages; the lines above say why"
    fi
fi

if node -e 'process.exit(+(parseInt(process.versions.node) < 20))' 2>/dev/null; then
    stamp=interop/node_modules/.installed
    if [ "$(cat "$stamp" 2>/dev/null)" != "$(cksum <interop/package.json)" ]; then
        if npm install --prefix interop --no-package-lock --no-audit --no-fund --loglevel=error; then
            cksum <interop/package.json >"$stamp"
        else
            miss "could not install what interop/package.json names; the lines above say why"
        fi
    fi
else
    miss "expected Node.js 20 or newer, found $(node --version 2>/dev/null || echo none); the npm packages need it"
fi

# the Go that interop/go/go.mod names is newer than most distributions'; Java and Maven are not
if go version >/dev/null 2>&1 && (cd interop/go && go mod download && go build ./...); then :; else
    miss "expected the Go that interop/go/go.mod names, found $(go version 2>/dev/null || echo none); go-oidc needs it"
fi
jar=nimbus-jose-jwt-10.10.jar
sum=0edd2fbaab79e13f87d145d021f85a5c59956b2b6b5e761c0d664c87f94cda15
if ! echo "$sum  interop/java/$jar" | sha256sum --check --status 2>/dev/null; then
    mvn -q -B dependency:copy -Dartifact=com.nimbusds:nimbus-jose-jwt:10.10 -DoutputDirectory="$PWD/interop/java" &&
        echo "$sum  interop/java/$jar" | sha256sum --check --quiet ||
        miss "could not fetch $jar with Maven; the lines above say why"
fi

stamp=$venv-interop/.installed
if [ "$(cat "$stamp" 2>/dev/null)" != "$(cksum <interop/requirements.txt)" ]; then
    "$venv/bin/python" -m venv "$venv-interop" &&
        "$venv-interop/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r interop/requirements.txt &&
        cksum <interop/requirements.txt >"$stamp" ||
        miss "could not install interop/requirements.txt into $venv-interop; the lines above say why"
fi

[ "$missing" -eq 0 ] && echo "strangers: all are there" && exit 0
[ "${WATCHWORD_REQUIRE_ALL:-}" != 1 ]
