#!/bin/bash
# On the first start: a database and a role for each service, with the password out of its secret.
set -euo pipefail
for service in contracts billing backup notify; do
    psql --quiet --username postgres --set ON_ERROR_STOP=1 --set role="mainstay_$service" \
        --set password="$(cat "/run/secrets/mainstay/$service")" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"role" OWNER :"role";
REVOKE CONNECT ON DATABASE :"role" FROM PUBLIC;
SQL
done
