#!/usr/bin/env bash
# Runs the tests: ./runtests.sh [pytest arguments]. Makes .venv if there is none.
# PYTHON, DJANGO and VENV choose another interpreter, Django version and environment.
set -euo pipefail
cd "$(dirname "$0")"
. ./venv.sh
make_venv "test"
exec "$VENV/bin/python" -m pytest "$@"
