#!/bin/sh
# make_colab.sh FOLDER: an environment with the versions that Google Colab has, if there is a Python 3.13.
set -eu
folder=$1
stamp="$folder/installed"
if [ -e "$stamp" ] && [ "$stamp" -nt tests/colab-requirements.txt ]; then exit 0; fi
found=""
for python in python3.13 "$HOME"/.pyenv/versions/3.13*/bin/python; do
    if "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then found=$python; break; fi
done
if [ -z "$found" ]; then echo "no Python 3.13 was found: the tests with Colab's versions will be skipped"; exit 0; fi
sh scripts/make_environment.sh "$found" "$folder" -r tests/colab-requirements.txt -e .
touch "$stamp"
