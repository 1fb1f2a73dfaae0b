# Creates the virtual environment. runserver.sh, runtests.sh and .ci/run source this file.

# Bytecode lets test processes start faster: pytest would compile all tests in each of its processes.
unset PYTHONDONTWRITEBYTECODE

PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
case $VENV in /*) ;; *) VENV=$PWD/$VENV ;; esac
DJANGO=${DJANGO:-}
OLDEST=${OLDEST:-} # if set, the oldest versions that pyproject.toml allows

# make_venv EXTRAS: install "adrf-sse[EXTRAS]", if it was not installed since pyproject.toml changed.
make_venv() {
    if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "adrf_sse needs Python 3.11 or newer; '$PYTHON' is $("$PYTHON" --version 2>&1). Set PYTHON to a newer one." >&2
        exit 1
    fi
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
    local wanted stamp="$VENV/.installed-${1//,/-}"
    wanted="$(cksum < pyproject.toml) $DJANGO${OLDEST:+oldest}"
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "Installing adrf_sse[$1] into $VENV"
        [ -z "$OLDEST" ] || "$PYTHON" .ci/oldest > "$VENV/oldest.txt"
        "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -e ".[$1]" \
            ${DJANGO:+"django~=$DJANGO.0"} ${OLDEST:+-c "$VENV/oldest.txt"}
        echo "$wanted" > "$stamp"
    fi
}
