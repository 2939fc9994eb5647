package containment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"clawback/forensics/agents/openclaw"
)

// engines finds the container engines that listen on this machine: those of root and, in the runtime
// folders of users, rootless ones. No environment variable and no context of a client leads elsewhere.
// https://docs.docker.com/engine/security/rootless/, podman-system-service(1)
func engines(ctx context.Context) (managers []Manager, problems []openclaw.Problem) {
	try := func(e *engine) {
		info, err := os.Lstat(e.socket)
		if err != nil || info.Mode().Type() != fs.ModeSocket {
			return
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !ok || int(owner.Uid) != e.uid && owner.Uid != 0 {
			problems = append(problems, openclaw.Problem{Path: e.socket, Reason: "it is not " + e.name + "'s own"})
			return
		}
		conn, err := (&net.Dialer{Timeout: dialWait}).DialContext(ctx, "unix", e.socket)
		switch {
		case err == nil:
			conn.Close()
			managers = append(managers, e)
		case !errors.Is(err, syscall.ECONNREFUSED): // refused: an engine left it behind
			problems = append(problems, openclaw.Problem{Path: e.socket, Reason: e.name + " cannot be asked: " + err.Error()})
		}
	}
	try(&engine{name: "docker", socket: "/run/docker.sock"})
	try(&engine{name: "podman", socket: "/run/podman/podman.sock"})
	for _, kind := range []struct{ name, socket string }{{"docker", "docker.sock"}, {"podman", "podman/podman.sock"}} {
		sockets, _ := filepath.Glob("/run/user/*/" + kind.socket)
		for _, socket := range sockets {
			uid, err := strconv.ParseUint(filepath.Base(strings.TrimSuffix(socket, "/"+kind.socket)), 10, 31)
			if err == nil && uid != 0 {
				try(&engine{name: fmt.Sprintf("%s of user %d", kind.name, uid), socket: socket, uid: int(uid)})
			}
		}
	}
	return managers, problems
}
