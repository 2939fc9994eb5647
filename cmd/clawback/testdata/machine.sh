#!/bin/bash
# A desk and a machine beside it, each in a network namespace of its own with a wire between them. On
# the machine a real systemd is PID 1 and a real sshd listens. Of the machine on which this runs it sees
# /usr alone, and cannot write to it. Needs root, and the packages systemd, dbus, openssh-server,
# iproute2 and util-linux.
#
#   DIR=FOLDER machine.sh run           until standard input ends; says "ready", and the pids of the
#                                       desk and of the machine's PID 1, when it is
#   DIR=FOLDER machine.sh on CMD...     on the machine
#   DIR=FOLDER machine.sh desk CMD...   at the desk
#
# $DIR/etc/* lands in /etc of the machine, $DIR/shared is the same folder on both sides, and $DIR/ssh
# stands in for ssh at the desk.
set -euo pipefail
: "${DIR:?a folder of its own}"
hierarchy=/sys/fs/cgroup
[ -f "$hierarchy/cgroup.controllers" ] || hierarchy=/sys/fs/cgroup/unified
group=$hierarchy/clawback-test-$(echo -n "$DIR" | cksum | cut -d' ' -f1)

child() { tr -d ' ' <"/proc/$1/task/$1/children"; }
on() { nsenter -t "$(child "$(cat "$DIR/pid")")" -m -u -i -p -C -n -- "$@"; }
desk() { nsenter -t "$(cat "$DIR/desk")" -m -n "--wd=$PWD" -- "$@"; }

boot() { # inside all namespaces but the root
  root=$DIR/root
  mkdir "$root"
  mount -t tmpfs -o mode=755 tmpfs "$root"
  mkdir "$root"/{usr,etc,proc,sys,dev,run,tmp,var,home,root,old}
  chmod 700 "$root/root"
  chmod 1777 "$root/tmp"
  for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done
  ln -s ../run "$root/var/run"
  mount --bind /usr "$root/usr"
  mount -o remount,bind,ro "$root/usr"
  mount -t proc proc "$root/proc"
  mount --bind "$root/proc/sys" "$root/proc/sys"
  mount -o remount,bind,ro "$root/proc/sys"
  mount -t sysfs sysfs "$root/sys"
  mount -o remount,bind,ro "$root/sys"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  mkdir "$root"/dev/{pts,shm}
  ln -s /proc/self/fd "$root/dev/fd"
  for d in null zero full random urandom tty; do touch "$root/dev/$d"; mount --bind "/dev/$d" "$root/dev/$d"; done
  mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
  ln -s pts/ptmx "$root/dev/ptmx"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  # Nothing that would set up the kernel, which is not the machine's own.
  mount -t tmpfs -o mode=755 tmpfs "$root/usr/lib/systemd/system/sysinit.target.wants"

  cp -r "$DIR"/etc/. "$root/etc/"
  cp /etc/ld.so.cache "$root/etc/"
  echo web-1 >"$root/etc/hostname"
  hostname web-1
  printf '%s\n' root:x:0:0::/root:/bin/bash messagebus:x:100:100::/:/bin/false sshd:x:101:101::/run/sshd:/bin/false \
    openclaw:x:4242:4242::/home/openclaw:/bin/bash nobody:x:65534:65534::/:/bin/false >"$root/etc/passwd"
  printf '%s\n' root:x:0: messagebus:x:100: sshd:x:101: openclaw:x:4242: nogroup:x:65534: >"$root/etc/group"
  echo 'passwd: files' >"$root/etc/nsswitch.conf"
  mkdir -p "$root$DIR/shared"
  chmod 1777 "$DIR/shared"
  mount --bind "$DIR/shared" "$root$DIR/shared"
  ln -sf /dev/null "$root/etc/systemd/system/systemd-remount-fs.service"

  ip link set lo up
  for _ in $(seq 400); do ip link show wire >/dev/null 2>&1 && break; sleep 0.025; done
  ip addr add 10.231.8.2/24 dev wire
  ip link set wire up

  cd "$root"
  pivot_root . old
  umount -l /old
  rmdir /old
  exec env -i container=test PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --system --unit=test.target \
    --log-target=console --log-level=notice --show-status=no
}

wait_for() { # WHAT CMD...
  local what=$1
  shift
  for _ in $(seq 400); do
    "$@" >/dev/null 2>&1 && return
    kill -0 "$(cat "$DIR/pid")" 2>/dev/null || break
    sleep 0.025
  done
  echo "$what: in vain" >&2
  cat "$DIR/log" >&2
  exit 1
}

clean_up() {
  trap - EXIT
  trap '' PIPE # of a test that was killed
  kill -KILL $(cat "$DIR/pid" "$DIR/desk" 2>/dev/null) 2>/dev/null || true
  for _ in $(seq 400); do # the kernel empties the groups in its own time
    find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
    [ -d "$group" ] || exit 0
    sleep 0.025
  done
  echo "$group is still in use" >&2
  exit 1
}

case ${1:-} in
run)
  trap clean_up EXIT
  mkdir -p "$DIR"/{etc,shared} "$group"
  export DIR
  unshare --net --mount --propagation private -- bash -euc '
    ip link set lo up
    if [ -e "$DIR/ssh" ]; then mount --bind "$DIR/ssh" "$(command -v ssh)"; fi
    touch "$DIR/desk-is-up"
    exec sleep infinity' >"$DIR/desk-log" 2>&1 </dev/null &
  echo $! >"$DIR/desk"
  (
    echo $BASHPID >"$group/cgroup.procs"
    exec unshare --fork --kill-child --pid --mount --uts --ipc --cgroup --net --propagation private -- "$0" boot >"$DIR/log" 2>&1 </dev/null
  ) &
  echo $! >"$DIR/pid"
  wait_for "the desk" test -e "$DIR/desk-is-up"
  wait_for "a wire" eval 'ip link add wire netns "$(cat "$DIR/desk")" type veth peer name wire netns "$(child "$(cat "$DIR/pid")")"'
  desk ip addr add 10.231.8.1/24 dev wire
  desk ip link set wire up
  wait_for "sshd" desk bash -c '</dev/tcp/10.231.8.2/22'
  echo "ready $(cat "$DIR/desk") $(child "$(cat "$DIR/pid")")"
  cat >/dev/null
  ;;
boot) boot ;;
on | desk) "$@" ;;
*)
  echo "usage: DIR=FOLDER $0 run | on CMD... | desk CMD..." >&2
  exit 2
  ;;
esac
