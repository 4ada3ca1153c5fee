#!/bin/sh
# Fetches what the tests use beside Go, from Debian's packages: a systemd and a D-Bus for the driver of kind "systemd", which
# run in namespaces of the tests' own. Where it cannot, it says in one line what the tests will leave out.
set -eu
missing=""
[ -x /lib/systemd/systemd ] || missing="$missing systemd"
command -v dbus-daemon >/dev/null 2>&1 || missing="$missing dbus"
command -v unshare >/dev/null 2>&1 || missing="$missing util-linux"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null && exit 0
fi
echo "LEFT OUT: the tests of the systemd driver; they need root and the packages:$missing" >&2
