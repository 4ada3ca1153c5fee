#!/bin/sh
# Fetches what the tests use beside Go, from Debian's packages: a systemd and a D-Bus for the driver of kind "systemd", which
# run in namespaces of the tests' own. go test does not show what it skips, so this script says it: one line for each thing
# that is left out here, and why.
set -eu
missing=""
[ -x /lib/systemd/systemd ] || missing="$missing systemd"
command -v dbus-daemon >/dev/null 2>&1 || missing="$missing dbus"
command -v unshare >/dev/null 2>&1 || missing="$missing util-linux"
command -v ip >/dev/null 2>&1 || missing="$missing iproute2"
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null && missing=""
fi
if [ "$(id -u)" != 0 ]; then
	echo "LEFT OUT: the tests of the systemd driver on a systemd of their own: they need root" >&2
	echo "LEFT OUT: the tests of the command driver in cgroups: they need a cgroup2 that this user may write" >&2
elif [ -n "$missing" ]; then
	echo "LEFT OUT: the tests of the systemd driver on a systemd of their own: they need the packages$missing" >&2
fi
