#!/usr/bin/env bash
# At the first start of an empty database server: for each service a role and a database, and nobody in another's.
# The same file under Compose and in the development overlay of Kubernetes, which takes none from outside its folder.
set -euo pipefail

# Each password is read where psql runs, never given as an argument, and not logged with a statement that fails.
for service in contracts billing backup notify; do
    psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres <<SQL
SET log_min_error_statement TO panic;
\set password \`cat /run/secrets/${service}_password\`
CREATE ROLE mainstay_$service LOGIN PASSWORD :'password';
CREATE DATABASE mainstay_$service OWNER mainstay_$service;
REVOKE ALL ON DATABASE mainstay_$service FROM PUBLIC;
SQL
done
psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
SQL
