#!/usr/bin/env bash
# venv.sh NAME: makes, once for each content of requirements.txt, the virtual environment NAME in the cache.
set -euo pipefail

venv=$COMPAT_CACHE/compat/$1
if [[ -f $venv/requirements.txt ]] && cmp -s requirements.txt "$venv/requirements.txt"; then
    exit
fi
rm -rf "$venv"
mkdir -p "$COMPAT_CACHE/compat"
python3 -m venv "$venv"
"$venv/bin/pip" -q --disable-pip-version-check install -r requirements.txt
cp requirements.txt "$venv/requirements.txt"
