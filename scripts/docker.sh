#!/bin/sh
# Make sure that a Docker Engine answers: at DOCKER_HOST where that is set, else at the default socket.
# Exits with 0, silently if one answers already; with 2 and one line on standard error if a person has to act.
set -eu
host=${DOCKER_HOST:-unix:///var/run/docker.sock}
log=/var/log/tora-docker.log

give_up() {
    echo "docker: $1" >&2
    exit 2
}

answers() {
    if command -v docker >/dev/null; then
        timeout 20 docker --host "$host" version >/dev/null 2>&1
    else # perl is the one language that every Debian has
        HOST=$host perl -MIO::Socket -e 'alarm 20; $ENV{HOST} =~ m{^(\w+)://(.+)};
            $s = $1 eq "unix" ? IO::Socket::UNIX->new($2) : IO::Socket::INET->new($2) or exit 1;
            print $s "GET /_ping HTTP/1.0\r\n\r\n"; exit(<$s> =~ / 200 / ? 0 : 1)' 2>/dev/null
    fi
}

install_engine() {
    sh "$(dirname "$0")/apt.sh" docker.io >"$log" 2>&1 9>&- || {
        tail -n 20 "$log" >&2
        give_up "apt-get could not install docker.io (above); install a Docker Engine by hand"
    }
}

start_engine() {
    if [ -d /run/systemd/system ]; then
        systemctl start docker >>"$log" 2>&1 || true
    else # 9 is the lock, which must not live as long as the engine
        setsid nohup dockerd >>"$log" 2>&1 </dev/null 9>&- &
    fi
    tries=60
    while ! answers; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { tail -n 20 "$log" >&2; give_up "dockerd does not answer (above); see $log"; }
        sleep 1
    done
}

answers && exit 0
socket=${host#unix://}
join="sudo usermod -aG docker $(id -un)"
[ "$(id -u)" = 0 ] || [ ! -S "$socket" ] || [ -w "$socket" ] ||
    give_up "$(id -un) may not use $socket; run: $join, log in again and run this again"
[ "$socket" = /var/run/docker.sock ] || give_up "DOCKER_HOST=$host does not answer; start it or unset DOCKER_HOST"
[ "$(id -u)" = 0 ] ||
    give_up "no Docker Engine answers; run: sudo sh scripts/docker.sh && $join, log in again and run this again"
[ -e /etc/debian_version ] || command -v dockerd >/dev/null ||
    give_up "no Docker Engine here; install it (https://docs.docker.com/engine/install/) and run this again"
exec 9>/run/lock/tora-docker.lock
flock 9
answers && exit 0 # another run of this script started it meanwhile
command -v dockerd >/dev/null || install_engine
start_engine
