#!/bin/sh
# Fetches what the tests use beside Go, from Debian's packages: a systemd and a D-Bus for the driver of kind "systemd", which
# run in namespaces of the tests' own, iproute2 for networks that are cut, QEMU for guests with a watchdog, whose kernel the tests download themselves, and for
# fencing real agents and a simulated management controller. go test does not show what it skips, so this script says it: one
# line for each thing that is left out here, and why.
set -eu
hosts=""
[ -x /lib/systemd/systemd ] || hosts="$hosts systemd"
command -v dbus-daemon >/dev/null 2>&1 || hosts="$hosts dbus"
command -v unshare >/dev/null 2>&1 || hosts="$hosts util-linux"
command -v ip >/dev/null 2>&1 || hosts="$hosts iproute2"
guests=""
command -v qemu-system-x86_64 >/dev/null 2>&1 || guests="$guests qemu-system-x86"
command -v mkfs.ext4 >/dev/null 2>&1 || guests="$guests e2fsprogs"
fence=""
[ -x /usr/sbin/fence_ipmilan ] || fence="$fence fence-agents"
command -v ipmitool >/dev/null 2>&1 || fence="$fence ipmitool" # what fence_ipmilan runs
command -v ipmi_sim >/dev/null 2>&1 || fence="$fence openipmi"
# A kernel that was downloaded once stays in the cache; until then apt must know it.
kernel=""
ls -d "${XDG_CACHE_HOME:-${HOME:-}/.cache}"/holter-testbed/kernel-* >/dev/null 2>&1 || kernel=linux-image-amd64
[ -z "$kernel" ] || command -v xz >/dev/null 2>&1 || guests="$guests xz-utils"
known() { apt-cache depends "$1" 2>/dev/null | grep -q Depends; }

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	if [ -n "$hosts$guests$fence" ] || { [ -n "$kernel" ] && ! known "$kernel"; }; then
		apt-get update -qq || : # what cannot be had then is said below
	fi
	if [ -n "$hosts" ]; then
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $hosts >/dev/null && hosts=""
	fi
	if [ -n "$guests" ]; then
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $guests >/dev/null && guests=""
	fi
	if [ -n "$fence" ]; then
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $fence >/dev/null && fence=""
	fi
fi
[ -z "$kernel" ] || ! known "$kernel" || kernel=""

if [ "$(id -u)" != 0 ]; then
	echo "LEFT OUT: the tests of the systemd driver on a systemd of their own: they need root" >&2
	echo "LEFT OUT: the tests of the command driver in cgroups: they need a cgroup2 that this user may write" >&2
	echo "LEFT OUT: storms over processes in network namespaces: they need root" >&2
elif [ -n "$hosts" ]; then
	case "$hosts" in *iproute2*) echo "LEFT OUT: storms over processes in network namespaces: they need the package iproute2" >&2 ;; esac
	echo "LEFT OUT: the tests of the systemd driver on a systemd of their own: they need the packages$hosts" >&2
fi
former=$(sed -n 's/^const formerCommit = "\(.*\)"$/\1/p' integration/rolling_linux_test.go)
if ! git cat-file -e "$former^{commit}" 2>/dev/null; then
	echo "LEFT OUT: rolling a cluster from the former version to this one: it needs git and the commit $former (git fetch --unshallow)" >&2
fi
if [ -n "$guests$kernel" ]; then
	echo "LEFT OUT: the tests of watchdogs in guests: they need the packages$guests${kernel:+ $kernel}" >&2
fi
if [ -n "$fence" ]; then
	echo "LEFT OUT: the tests of fencing with real agents and a management controller: they need the packages$fence" >&2
fi
