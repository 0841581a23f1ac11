#!/bin/sh
# make_environment.sh PYTHON FOLDER WHAT...: a virtual environment with WHAT installed, on a bare Debian too.
set -eu
python=$1; folder=$2; shift 2
"$python" -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "hashstash needs Python >= 3.11; call: make PYTHON=python3.12 ...")'
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "python3-venv is missing; installing it"
    if [ "$(id -u)" = 0 ]; then apt-get update -q && apt-get install -y -q python3-venv
    else sudo -n apt-get update -q && sudo -n apt-get install -y -q python3-venv; fi
fi
[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
