#!/usr/bin/env bash
# Makes up what production needs besides, each a file, unless it is there: production-secrets.sh FOLDER
# An authority of its own signs those of the brokers, which only Mainstay has to trust. It signs the edge's too, which is
# for trying things out: callers want one of an authority that they know, as edge_certificate and edge_key.
# A mail server's password cannot be made up: write it to notify_smtp_password, which is empty when there is none.
#   DEPLOY_HOST        the name in the edge's certificate, default localhost
#   DEPLOY_KAFKA_HOST  the name under which partners reach the brokers, default localhost
set -euo pipefail
umask 077
cd "${1:?usage: production-secrets.sh FOLDER}"
days=825

main() {
    # Two at once would write into each other's files.
    exec {lock}<.
    flock "$lock"
    for user in contracts billing backup notify topics backup-system restore-system operator; do
        [ -e "kafka_${user}_password" ] || openssl rand -hex 32 | kept "kafka_${user}_password"
    done
    [ -e notify_smtp_password ] || kept notify_smtp_password </dev/null
    make_authority
    for broker in 1 2 3; do
        keystore "kafka_${broker}_keystore" "kafka-$broker" "DNS:kafka-$broker,$(named "${DEPLOY_KAFKA_HOST:-localhost}")"
    done
    keystore kafka_operator_keystore kafka-operator DNS:kafka-operator
    if [ ! -e edge_certificate ]; then
        signed edge "${DEPLOY_HOST:-localhost}" "$(named "${DEPLOY_HOST:-localhost}")"
        kept edge_key <edge.key
        kept edge_certificate <edge.crt
        rm edge.key edge.crt
    fi
}

make_authority() {
    [ ! -e kafka_ca ] || return 0
    quietly openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 -subj "/CN=Mainstay" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout authority.key -out authority.crt
    kept kafka_ca <authority.crt
}

# The private key, then the certificate, in one file: what Kafka calls a keystore of type PEM.
keystore() {
    [ ! -e "$1" ] || return 0
    signed "$1" "$2" "$3"
    cat "$1.key" "$1.crt" | kept "$1"
    rm "$1.key" "$1.crt"
}

signed() {
    quietly openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=$2" \
        -keyout "$1.key" -out "$1.csr"
    quietly openssl x509 -req -in "$1.csr" -CA authority.crt -CAkey authority.key -days "$days" -out "$1.crt" \
        -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$3")
    rm "$1.csr"
}

# What openssl has to say, only when it failed.
quietly() {
    local said
    said=$("$@" 2>&1) || { printf '%s\n' "$said" >&2; return 1; }
}

named() { if [[ $1 =~ ^[0-9.]+$ ]]; then echo "IP:$1"; else echo "DNS:$1"; fi; }

# Whole or not at all; readable inside the container that it is given to, while the folder is its owner's alone.
kept() {
    cat >"$1.new"
    chmod 0444 "$1.new"
    mv "$1.new" "$1"
}

main
