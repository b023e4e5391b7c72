#!/bin/sh
# Install Debian packages; while another process uses apt, as a fresh machine itself does, wait up to 5 minutes.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
tries=60
# `DPkg::Lock::Timeout` is for the lock of an installation, not for that of the lists.
while ! said=$(apt-get update -qq 2>&1); do
    tries=$((tries - 1))
    case $said in *"Could not get lock"*) [ "$tries" -gt 0 ] ;; *) false ;; esac || { echo "$said" >&2; exit 1; }
    sleep 5
done
[ -z "$said" ] || echo "$said" >&2 # a list that could not be fetched is a warning to apt
exec apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@"
