#!/usr/bin/env bash
# Creates a virtual environment: make_venv.sh PYTHON DIRECTORY
# Takes PYTHON, or the first newer interpreter on PATH, that is at least 3.11; on Debian the module that
# makes environments is a package of its own, which is installed when we may.
set -eu

wanted=$1
directory=$2

new_enough() {
    command -v "$1" >/dev/null && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

python=
for candidate in "$wanted" python3.14 python3.13 python3.12 python3.11; do
    if new_enough "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "make_venv.sh: $wanted is no Python 3.11 or newer, and none is on PATH; set PYTHON=..." >&2
    exit 1
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ -e /etc/debian_version ] && [ "$(id -u)" -eq 0 ]; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends python3-venv >/dev/null
    else
        echo "make_venv.sh: $python cannot make virtual environments; on Debian: apt-get install python3-venv" >&2
        exit 1
    fi
fi

"$python" -m venv "$directory"
