#!/bin/sh
# The login of the services: it may append to the log but not change it, because it does not own the tables.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$POSTGRES_APP_PASSWORD" \
  --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE minispod_app NOLOGIN;
CREATE ROLE minispod_service LOGIN PASSWORD :'password' IN ROLE minispod_app;
-- The projector makes and replaces the schemas of the read models itself.
GRANT CREATE ON DATABASE minispod TO minispod_service;
SQL
