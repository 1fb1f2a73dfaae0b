#!/usr/bin/env bash
# Runs the tests: ./runtests.sh [pytest arguments]. Creates .venv if it does not exist.
# PYTHON, DJANGO and VENV select another interpreter, Django version and environment, and EXTRAS what is installed.
set -euo pipefail
cd "$(dirname "$0")"
. ./venv.sh
make_venv "${EXTRAS:-test}"
exec "$VENV/bin/python" -m pytest "$@"
