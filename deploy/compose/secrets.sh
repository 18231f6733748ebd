#!/usr/bin/env bash
# Makes up every secret that is not there yet, each a file: secrets.sh FOLDER [remote]
# With `remote` a place for remote backups too, by another user of the same servers: one machine to try things on. Without,
# backup_remote_repositories is empty until you write there where yours is, rest:https://user:password@host/user for instance.
# The folder is its owner's alone (0700). The files in it can be read by anyone who is given one (0444), because Compose
# mounts each into a container whose user is another than yours, with the mode that it has here.
set -euo pipefail
umask 077
folder=${1:?usage: secrets.sh FOLDER [remote]}
remote=${2:-}

main() {
    command -v openssl >/dev/null || { echo "This needs openssl: apt-get install openssl" >&2; exit 1; }
    mkdir -p "$folder"
    chmod 0700 "$folder"
    # Two at once would write into each other's files.
    exec {lock}<"$folder"
    flock "$lock"
    keep postgres_password password
    for service in contracts billing backup notify; do
        keep "${service}_password" password
        keep "${service}_database_url" database_url "$service"
    done
    keep backup_key openssl rand 32
    # Empty but while the key before the one in use may still open something: docs/operations/keys.md.
    keep backup_key_retired true
    keep vault_key openssl rand 32
    keep vault_key_retired true
    keep system_passphrase password
    for way in adding deleting; do
        keep "${way}_password" password
        [ "$remote" != remote ] || keep "remote_${way}_password" password
    done
    keep rest_server_users users adding_password
    keep rest_server_deleting_users users deleting_password
    keep backup_repositories repositories mainstay rest-server adding_password
    keep backup_deleting_repositories repositories mainstay rest-server-deleting deleting_password
    keep backup_remote_repositories remote_place rest-server remote_adding_password
    keep backup_remote_deleting_repositories remote_place rest-server-deleting remote_deleting_password
}

# keep NAME COMMAND…: the output of the command, unless the file is there; whole or not at all.
keep() {
    local file=$folder/$1
    shift
    [ ! -e "$file" ] || return 0
    "$@" >"$file.new"
    chmod 0444 "$file.new"
    mv "$file.new" "$file"
}

password() { openssl rand -hex 32; }
database_url() { echo "postgresql://mainstay_$1:$(<"$folder/$1_password")@postgres:5432/mainstay_$1"; }
repositories() { echo "rest:http://$1:$(<"$folder/$3")@$2:8000/$1"; }
remote_place() { [ "$remote" != remote ] || repositories remote "$@"; }
users() { user mainstay "$1"; [ "$remote" != remote ] || user remote "remote_$1"; }
# As `htpasswd -s` writes it: of 32 random bytes nothing is found by trying.
user() { echo "$1:{SHA}$(tr -d '\n' <"$folder/$2" | openssl dgst -sha1 -binary | openssl base64)"; }

main
