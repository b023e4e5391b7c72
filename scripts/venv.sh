#!/bin/sh
# Make sure that this machine's Python can make virtual environments: Debian and Ubuntu package that apart.
set -eu
advice="install the venv module of this Python (Debian, Ubuntu: apt-get install python3-venv) and run this again"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "venv: $advice" >&2
    exit 2
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
sh "$(dirname "$0")/apt.sh" python3-venv >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    echo "venv: apt-get failed (above); $advice" >&2
    exit 2
}
