#!/usr/bin/env bash
# Gives Kafka's users their passwords and rights, as the operator, whose certificate the brokers trust:
#   access services          those of the services and of the topics job; doing it again changes nothing
#   access partner ID        one partner's; its password and then the commands for its rights come on standard input
set -euo pipefail
umask 077
export PATH=/opt/kafka/bin:$PATH KAFKA_HEAP_OPTS=-Xmx192m KAFKA_BOOTSTRAP KAFKA_CONFIG=/tmp/operator.properties

main() {
    cat >"$KAFKA_CONFIG" <<'EOF'
security.protocol=SSL
ssl.keystore.type=PEM
ssl.keystore.location=/run/secrets/kafka_keystore
ssl.truststore.type=PEM
ssl.truststore.location=/run/secrets/kafka_ca
EOF
    case ${1:-} in
        services)
            for user in contracts billing backup notify topics; do
                set_password "mainstay-$user" <"/run/secrets/kafka_${user}_password"
            done
            source /access/commands
            ;;
        partner)
            set_password "partner-${2:?whose}"
            source /dev/stdin
            ;;
        *) echo "usage: access services | access partner ID" >&2; exit 2 ;;
    esac
}

# The password is a line of standard input, and goes to the tool in a file: arguments can be read by others.
set_password() {
    local password
    IFS= read -r password
    printf 'SCRAM-SHA-512=iterations=8192,password=%s\n' "$password" >/tmp/password
    kafka-configs.sh --bootstrap-server "$KAFKA_BOOTSTRAP" --command-config "$KAFKA_CONFIG" \
        --alter --entity-type users --entity-name "$1" --add-config-file /tmp/password </dev/null
    rm /tmp/password
}

main "$@"
