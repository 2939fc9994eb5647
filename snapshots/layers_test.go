package snapshots

import (
	"slices"
	"strings"
	"testing"
)

// The lines are of a Docker 20.10 container, its paths shortened.
func TestLayers(t *testing.T) {
	ours := []string{
		"22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw",
		"23 22 0:20 / /proc rw - proc proc rw",
		"24 22 8:2 /volumes /srv/my\\040data rw - xfs /dev/sda2 rw",
		"26 22 0:60 / /var/lib/docker/overlay2/a\\054b/merged rw - overlay overlay rw",
		"25 22 0:50 / /var/lib/docker/containers/abc/mounts/shm rw - tmpfs shm rw",
	}
	const root = "300 200 0:60 / / rw - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/X:/var/lib/docker/overlay2/l/Y,upperdir=/var/lib/docker/overlay2/a\\054b/diff,workdir=/w"
	for name, tc := range map[string]struct {
		theirs []string
		want   []string
	}{
		"layer": {[]string{root}, []string{"var/lib/docker/overlay2/a,b/diff"}},
		"volumes and binds": {[]string{
			root,
			"301 300 0:61 / /proc rw - proc proc rw",
			"302 300 8:1 /var/lib/docker/volumes/state/_data /home/node/.openclaw rw - ext4 /dev/sda1 rw",
			"303 300 8:2 /volumes/a /data ro - xfs /dev/sda2 rw",
			"304 300 0:50 / /dev/shm rw - tmpfs shm rw",
			"305 300 8:2 /elsewhere /other rw - xfs /dev/sda2 rw", // a part of that disk which is mounted nowhere
			"306 300 8:1 / /host rw - ext4 /dev/sda1 rw",
			"307 300 8:1 /home /homes rw - ext4 /dev/sda1 rw",
			"308 300 8:1 /usr/lib /usr/lib ro - ext4 /dev/sda1 rw",
			"309 300 8:1 /var/lib/docker/volumes/state/_data /again rw - ext4 /dev/sda1 rw",
			"310 300 0:99 / /fuse rw - fuse.x x rw",
		}, []string{"var/lib/docker/overlay2/a,b/diff", "var/lib/docker/volumes/state/_data", "srv/my data/a", "var/lib/docker/containers/abc/mounts/shm"}},
		"a copy of the image": {[]string{"300 200 8:1 /var/lib/docker/vfs/dir/abc / rw - ext4 /dev/sda1 rw"}, []string{"var/lib/docker/vfs/dir/abc"}},
		"no container":        {ours, nil},
		"our own overlay":     {[]string{"1 0 8:1 / / rw - overlay overlay rw,upperdir=/a/b/diff"}, nil},
		"no layer of changes": {[]string{"300 200 0:60 / / rw - overlay overlay ro,lowerdir=/a:/b"}, []string{"var/lib/docker/overlay2/a,b/merged"}},
		"a layer that is /":   {[]string{"300 200 0:60 / / rw - overlay overlay rw,upperdir=/"}, nil},
		"a layer above it":    {[]string{"300 200 0:60 / / rw - overlay overlay rw,upperdir=../../etc/shadow"}, []string{"etc/shadow"}},
		"nothing":             {nil, nil},
		"garbage":             {[]string{"", "- - -", "a b c d e f g", "\\", "1 2 3 \\777 / x - overlay o upperdir=\\4"}, nil},
	} {
		got := layers(parseMountLines(strings.NewReader(strings.Join(ours, "\n"))), parseMountLines(strings.NewReader(strings.Join(tc.theirs, "\n"))))
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func FuzzMountLine(f *testing.F) {
	f.Add("22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw")
	f.Add("300 200 0:60 / / rw - overlay overlay rw,upperdir=/var/lib/a\\054b/diff")
	f.Fuzz(func(t *testing.T, line string) {
		for _, folder := range layers(parseMountLines(strings.NewReader(line)), parseMountLines(strings.NewReader(line+"\n300 200 0:60 / / rw - overlay o "+line))) {
			if strings.HasPrefix(folder, "/") || !strings.Contains(folder, "/") || slices.Contains(strings.Split(folder, "/"), "..") {
				t.Errorf("%q", folder)
			}
		}
	})
}
