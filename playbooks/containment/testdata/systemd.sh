#!/bin/bash
# A real systemd as PID 1 of namespaces of its own, with its own system bus and an overlay of this
# machine's root that is thrown away. Needs root, and the packages systemd, dbus and util-linux.
#
#   SD=FOLDER systemd.sh start | exec CMD... | stop
#
# Unit files in $SD/units land in /usr/lib/systemd/system, those in $SD/units/etc in /etc/systemd/system.
# $SD itself is visible inside, at the same path.
set -euo pipefail
: "${SD:?a folder of its own}"
hierarchy=/sys/fs/cgroup
[ -f "$hierarchy/cgroup.controllers" ] || hierarchy=/sys/fs/cgroup/unified
group=$hierarchy/clawback-test-$(echo -n "$SD" | cksum | cut -d' ' -f1)

pid1() {
  local children
  children=$(cat "/proc/$(cat "$SD/pid")/task/$(cat "$SD/pid")/children")
  echo "${children%% *}"
}

inside() { nsenter -t "$(pid1)" -m -u -i -p -C "$@"; }

case ${1:-} in
start)
  mkdir -p "$SD"/{bus,units/etc,mnt} "$group"
  export SD
  (
    echo $BASHPID >"$group/cgroup.procs"
    exec unshare --fork --kill-child --pid --mount --uts --ipc --cgroup --propagation private bash -euc '
      base=$SD/mnt root=$SD/mnt/root
      mount -t tmpfs -o mode=755 tmpfs "$base"
      mkdir "$base"/{up,work,root}
      mount -t overlay overlay -o lowerdir=/,upperdir="$base/up",workdir="$base/work" "$root"
      mount -t proc proc "$root/proc"
      mount --bind "$root/proc/sys" "$root/proc/sys"
      mount -o remount,bind,ro "$root/proc/sys"
      mount -t tmpfs -o mode=755 tmpfs "$root/dev"
      mkdir "$root"/dev/{pts,shm}
      ln -s /proc/self/fd "$root/dev/fd"
      for d in null zero full random urandom tty; do touch "$root/dev/$d"; mount --bind "/dev/$d" "$root/dev/$d"; done
      mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
      ln -s pts/ptmx "$root/dev/ptmx"
      mount -t tmpfs tmpfs "$root/dev/shm"
      mount -t sysfs sysfs "$root/sys"
      mount -o remount,bind,ro "$root/sys"
      mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
      # Nothing that would set up the kernel, which is the host'\''s; none of the host'\''s own units.
      mount -t tmpfs -o mode=755 tmpfs "$root/usr/lib/systemd/system/sysinit.target.wants"
      mount -t tmpfs -o mode=755 tmpfs "$root/etc/systemd/system"
      mount -t tmpfs -o mode=1777 tmpfs "$root/var/log"
      mount -t tmpfs -o mode=755 tmpfs "$root/run"
      mkdir -p "$root/run/dbus" "$root$SD"
      mount --bind "$SD/bus" "$root/run/dbus"
      mount --bind "$SD" "$root$SD"
      for u in "$SD"/units/*.*; do cp "$u" "$root/usr/lib/systemd/system/"; done
      for u in "$SD"/units/etc/*; do [ ! -e "$u" ] || cp -r "$u" "$root/etc/systemd/system/"; done
      ln -s /dev/null "$root/etc/systemd/system/systemd-remount-fs.service"
      printf "[Unit]\nRequires=dbus.socket\nWants=dbus.service\nAfter=dbus.service\nAllowIsolate=yes\n" >"$root/etc/systemd/system/test.target"
      ln -s test.target "$root/etc/systemd/system/default.target"
      cd "$root"
      mkdir -p old
      pivot_root . old
      umount -l /old
      exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=test.target \
        --log-target=console --log-level=notice --show-status=no
    ' >"$SD/log" 2>&1 </dev/null
  ) &
  echo $! >"$SD/pid"
  for _ in $(seq 400); do
    if [ -S "$SD/bus/system_bus_socket" ] && inside systemctl is-active -q dbus.service 2>/dev/null; then exit 0; fi
    kill -0 "$(cat "$SD/pid")" 2>/dev/null || break
    sleep 0.025
  done
  echo "systemd did not come up" >&2
  cat "$SD/log" >&2
  exit 1
  ;;
exec)
  shift
  inside "$@"
  ;;
stop)
  kill -KILL "$(cat "$SD/pid")" 2>/dev/null || true
  for _ in $(seq 200); do # the kernel empties the groups in its own time
    find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
    [ -d "$group" ] || exit 0
    sleep 0.025
  done
  echo "$group is still in use" >&2
  exit 1
  ;;
*)
  echo "usage: SD=FOLDER $0 start | exec CMD... | stop" >&2
  exit 2
  ;;
esac
