package containment

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"clawback/snapshots"
)

// layers is a sink that keeps what is taken of the disks of containers, by its path.
type layers struct {
	files map[string]string
	open  bytes.Buffer
}

func (l *layers) Begin(f snapshots.File) (io.Writer, error) {
	if f.Source != "container" {
		return io.Discard, nil
	}
	l.open.Reset()
	return &l.open, nil
}

func (l *layers) End(f snapshots.File) error {
	if f.Source == "container" {
		l.files[f.Path] = f.Verdict + " " + string(l.open.Next(100))
	}
	return nil
}

// captureLayers takes the files of the machine, and returns those of the agent's containers.
func captureLayers(ctx context.Context, a *Agent, root *os.Root) (map[string]string, error) {
	processes, err := a.Processes(ctx)
	if err != nil {
		return nil, err
	}
	proc, err := os.OpenRoot("/proc")
	if err != nil {
		return nil, err
	}
	opts := snapshots.Options{Proc: proc}
	for _, p := range processes {
		opts.Processes = append(opts.Processes, p.PID)
	}
	l := &layers{files: map[string]string{}}
	_, err = snapshots.Capture(ctx, root, "files", opts, l)
	return l.files, err
}

// TestDisksOfContainers copies what an agent wrote inside its container, and to a volume that no path of the
// machine is known for, and nothing of a container that is not its own.
func TestDisksOfContainers(t *testing.T) {
	for name, e := range map[string]struct {
		engine, storage string
		programs        []string
	}{
		"docker":           {"docker", "overlay2", []string{"dockerd", "docker"}},
		"docker by copies": {"docker", "", []string{"dockerd", "docker"}},
		"podman by copies": {"podman", "", []string{"podman", "runc", "conmon"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startStored(t, e.engine, e.storage, e.programs...)
			d.run("shop-db-1", "metronome")
			d.run("gw", "agent", "--label=openclaw.sandbox=1", "-v", "state:/home/node/.openclaw")
			for _, name := range []string{"gw", "shop-db-1"} {
				d.write(name, "/planted")
			}
			d.write("gw", "/home/node/.openclaw/openclaw.json")
			var taken map[string]string
			d.verb("freeze", nil)
			d.verb("layers", &taken)
			var inLayer, inVolume int
			for name, is := range taken {
				switch {
				case strings.HasSuffix(name, "/planted"):
					inLayer++
				case strings.HasSuffix(name, "state/_data/openclaw.json"):
					inVolume++
				default:
					continue
				}
				if is != snapshots.Stable+" fled\n" {
					t.Errorf("%s is %q", name, is)
				}
			}
			if inLayer != 1 || inVolume != 1 {
				t.Errorf("%d in the layer, %d in the volume, of %q", inLayer, inVolume, taken)
			}
		})
	}
}

// write makes a file inside a container.
func (d *realDocker) write(name, path string) {
	d.t.Helper()
	args := []string{"exec", "-e", "CLAWBACK_TEST_ROLE=fugitive", "-e", "CLAWBACK_TEST_ACTS=" + path, name, "/agent"}
	if d.engine == "podman" {
		_ = d.command(append([]string{"podman"}, args...)...).Run() // a fugitive fails
	} else {
		_ = d.command(append([]string{"exec", "docker", "-H", "unix:///run/docker.sock"}, args...)...).Run()
	}
}
