#!/usr/bin/env bash
# Serves the example at http://127.0.0.1:8000/. Creates .venv if it does not exist, and the tables of the database,
# which is that of DATABASE_URL (postgres://user:password@host:port/name) or a file of SQLite.
set -euo pipefail
cd "$(dirname "$0")"
. ./venv.sh
make_venv "example"
cd example
"$VENV/bin/python" manage.py migrate --verbosity 0
exec "$VENV/bin/python" -m uvicorn config.asgi:application --host 127.0.0.1 --port "${PORT:-8000}"
