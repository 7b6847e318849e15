#!/bin/bash
# Prints the Secrets of the namespace `minispod`, one per role and each with what that role needs and no more:
#
#   deploy/k8s/secrets.sh minispod.env | kubectl apply --server-side -f -
#
# minispod.env holds NAME=value lines with the names of deploy/env.example, and two of its own:
#   OWNER_DATABASE_URL   the owner of the tables, for `migrate` alone
#   DATABASE_URL         the login of the services, who may append to the log but not change it
set -euo pipefail
file=${1:?name the file with the values}

# secret  variables; a ? marks what may be absent.
table='
api          DATABASE_URL MINISPOD_MASTER_KEY JWT_SECRET MIDTRANS_SERVER_KEY MINISPOD_NATS_API_PASSWORD MINISPOD_METRICS_TOKEN?
relay        DATABASE_URL MINISPOD_NATS_RELAY_PASSWORD
projector    DATABASE_URL MINISPOD_MASTER_KEY MINISPOD_NATS_PROJECTOR_PASSWORD
provisioner  DATABASE_URL MINISPOD_MASTER_KEY MINISPOD_NATS_PROVISIONER_PASSWORD
billing      DATABASE_URL MINISPOD_MASTER_KEY MIDTRANS_SERVER_KEY MINISPOD_NATS_BILLING_PASSWORD
mailer       DATABASE_URL MINISPOD_MASTER_KEY SMTP_URL MINISPOD_NATS_MAILER_PASSWORD
operator     DATABASE_URL MINISPOD_MASTER_KEY MINISPOD_NATS_ANALYST_PASSWORD
nats         MINISPOD_NATS_ADMIN_PASSWORD MINISPOD_NATS_RELAY_PASSWORD MINISPOD_NATS_API_PASSWORD MINISPOD_NATS_PROJECTOR_PASSWORD MINISPOD_NATS_BILLING_PASSWORD MINISPOD_NATS_PROVISIONER_PASSWORD MINISPOD_NATS_MAILER_PASSWORD MINISPOD_NATS_ANALYST_PASSWORD
'

value() { sed -n "s/^$1=//p" "$file" | tail -n 1; }

# secret <name> <variable of the file>[:<key>] … — values never appear on a command line.
secret() {
  local name=$1 wanted from key text
  shift
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata: { name: minispod-%s, namespace: minispod }\ndata:\n' "$name"
  for wanted in "$@"; do
    from=${wanted%%[:?]*}
    key=${wanted#*:}
    key=${key%\?}
    text=$(value "$from")
    if [ -z "$text" ]; then
      [[ $wanted == *\? ]] && continue
      echo "secrets.sh: $from is missing in $file" >&2
      exit 1
    fi
    printf '  %s: %s\n' "$key" "$(printf %s "$text" | base64 | tr -d '\n')"
  done
}

secret owner OWNER_DATABASE_URL:DATABASE_URL
while read -r name variables; do
  # shellcheck disable=SC2086
  [ -z "$name" ] || secret "$name" $variables
done <<<"$table"
