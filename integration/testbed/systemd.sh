# boot DIR NAME: become systemd, as pid 1 of the namespaces that this shell was started in.
# DIR is an empty directory; everything is mounted below it and is gone with the mount namespace.
set -euo pipefail
dir=$1 name=$2

if [ "${3:-}" != born ]; then
	mount --make-rprivate /
	mount -t tmpfs -o mode=755 tmpfs "$dir"
	mkdir "$dir"/{cgroup,up,work,root}
	# A cgroup of its own, entered before the cgroup namespace is made, is what systemd will take for the root of all.
	mount -t cgroup2 none "$dir/cgroup"
	mkdir "$dir/cgroup/$name"
	echo 0 >"$dir/cgroup/$name/cgroup.procs"
	umount "$dir/cgroup"
	exec unshare -C bash -c "$BASH_EXECUTION_STRING" boot "$dir" "$name" born
fi

root=$dir/root
mount -t overlay -o "lowerdir=/,upperdir=$dir/up,workdir=$dir/work" overlay "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
	touch "$root/dev/$node"
	mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs tmpfs "$root/dev/shm"

: >"$root/etc/machine-id"
echo "$name" >"$root/etc/hostname"
hostname "$name"
ip link set lo up

# What belongs to hardware, to the console, or to this machine's own timetable stays off.
for unit in systemd-{timesyncd,networkd,resolved,logind,udevd,udev-trigger,modules-load,pstore}.service \
	getty@tty1.service console-getty.service e2scrub_reap.service systemd-udevd-{kernel,control}.socket \
	apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer dpkg-db-backup.timer logrotate.timer man-db.timer; do
	ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

touch "$root/run/$name" # tells the world outside that this root is the host's own
mkdir "$root/.old"
cd "$root"
pivot_root . .old
umount -l /.old
exec env -i container=holter PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=linux \
	/lib/systemd/systemd --system --unit=basic.target --log-target=console --show-status=0
