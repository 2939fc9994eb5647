#!/bin/bash
# A real dockerd in pid, mount, network and ipc namespaces of its own, without a network. Needs root, and the
# packages docker.io and util-linux.
#
#   DD=FOLDER docker.sh start | restart | exec CMD... | podman ARGUMENT... | stop
#
# The engine's socket is /run/docker.sock inside, as on a real host; /run and /home are empty there. With
# STORAGE=overlay2 images lie in layers, on a tmpfs; otherwise each container has a copy of its image. With
# ENGINE=podman, it is Podman, and /run/podman/podman.sock; start does not do more than one of them.
# $DD itself is visible inside, at the same path.
set -euo pipefail
: "${DD:?a folder of its own}"
parent=/clawback-test-$(echo -n "$DD" | cksum | cut -d' ' -f1)

pid1() {
  local children
  children=$(cat "/proc/$(cat "$DD/pid")/task/$(cat "$DD/pid")/children")
  echo "${children%% *}"
}

data=$DD/data
if [ "${STORAGE:=vfs}" != vfs ]; then data=/run/data; fi

inside() { nsenter -t "$(pid1)" -m -n -i -p "$@"; }

# crun refuses hosts with both versions of cgroups.
podman() {
  inside podman --root "$DD/data" --runroot /run/containers --cgroup-manager cgroupfs --storage-driver vfs --events-backend file \
    --runtime runc "$@"
}

daemon() {
  if [ "${ENGINE:-docker}" = podman ]; then
    inside mkdir -p /run/podman
    podman system service -t 0 unix:///run/podman/podman.sock >>"$DD/log" 2>&1 </dev/null &
    for _ in $(seq 300); do
      if inside test -S /run/podman/podman.sock; then return 0; fi
      sleep 0.1
    done
    echo "podman did not come up" >&2
    return 1
  fi
  inside bash -c 'exec setsid dockerd --data-root "$2" --exec-root /run/docker --pidfile /run/docker.pid \
    -H unix:///run/docker.sock --storage-driver "$3" --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "$1" \
    --bridge none --iptables=false --ip6tables=false' "$DD" "$parent" "$data" "$STORAGE" >>"$DD/log" 2>&1 </dev/null &
  for _ in $(seq 300); do
    if inside docker -H unix:///run/docker.sock version >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  echo "dockerd did not come up" >&2
  tail -20 "$DD/log" >&2
  return 1
}

case ${1:-} in
start)
  mkdir -p "$DD/data"
  export DD
  unshare --fork --kill-child --pid --mount --net --ipc --propagation private bash -euc '
    mount -t proc proc /proc
    mount -t tmpfs -o mode=755 tmpfs /run
    mount -t tmpfs -o mode=755 tmpfs /home
    # Beside version 1 the engine does not need it, and a freeze would find other tests in it.
    if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
    ip link set lo up
    touch "$DD/ready"
    sleep infinity & # bash takes in orphans
    wait
  ' >"$DD/log" 2>&1 </dev/null &
  echo $! >"$DD/pid"
  for _ in $(seq 200); do [ -e "$DD/ready" ] && break; sleep 0.025; done
  daemon
  ;;
restart)
  inside bash -c 'pid=$(cat /run/docker.pid); kill -TERM "$pid"; while [ -d "/proc/$pid" ]; do sleep 0.05; done'
  daemon
  ;;
podman)
  shift
  if [ "$1" = run ]; then set -- run --cgroup-parent "$parent" --network none "${@:2}"; fi
  podman "$@"
  ;;
exec)
  shift
  inside "$@"
  ;;
stop)
  kill -KILL "$(cat "$DD/pid")" 2>/dev/null || true
  for _ in $(seq 200); do # the kernel empties the groups in its own time
    left=
    for group in /sys/fs/cgroup/*"$parent" /sys/fs/cgroup"$parent"; do
      [ -d "$group" ] || continue
      for state in $(find "$group" -name freezer.state); do echo THAWED >"$state"; done
      find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
      [ ! -d "$group" ] || left=$group
    done
    [ -n "$left" ] || exit 0
    sleep 0.025
  done
  echo "$left is still in use" >&2
  exit 1
  ;;
*)
  echo "usage: DD=FOLDER $0 start | restart | exec CMD... | podman ARGUMENT... | stop" >&2
  exit 2
  ;;
esac
