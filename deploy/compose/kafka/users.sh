#!/usr/bin/env bash
# Gives each of Kafka's users its password, as who is trusted by certificate; doing it again changes nothing.
# A new cluster has no user with a password yet, so the first cannot be made by one.
set -euo pipefail
umask 077
export PATH=/opt/kafka/bin:$PATH KAFKA_HEAP_OPTS=-Xmx192m
config=/tmp/operator.properties

main() {
    cat >"$config" <<'EOF'
security.protocol=SSL
ssl.keystore.type=PEM
ssl.keystore.location=/run/secrets/kafka_keystore
ssl.truststore.type=PEM
ssl.truststore.location=/run/secrets/kafka_ca
EOF
    for user in contracts billing backup notify topics backup-system restore-system operator; do set_password "$user"; done
}

# In a file: arguments can be read by others.
set_password() {
    printf 'SCRAM-SHA-512=iterations=8192,password=%s\n' "$(<"/run/secrets/kafka_$1_password")" >/tmp/password
    kafka-configs.sh --bootstrap-server "$KAFKA_BOOTSTRAP" --command-config "$config" \
        --alter --entity-type users --entity-name "mainstay-$1" --add-config-file /tmp/password
    rm /tmp/password
}

main
