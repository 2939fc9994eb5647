package cloud

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"clawback/forensics/incident"
)

const (
	snapshotPause = 5 * time.Second
	tagHold       = "clawback-hold"
	tagTime       = "clawback-time"
)

type snapshot struct {
	ID        string `xml:"snapshotId"`
	Volume    string `xml:"volumeId"`
	State     string `xml:"state"`  // CreateSnapshots
	Status    string `xml:"status"` // DescribeSnapshots
	Progress  string `xml:"progress"`
	Started   string `xml:"startTime"`
	GB        int64  `xml:"volumeSize"`
	Encrypted bool   `xml:"encrypted"`
}

type describeSnapshots struct {
	Next string     `xml:"nextToken"`
	List []snapshot `xml:"snapshotSet>item"`
}

func (d *describeSnapshots) next() string { return d.Next }

// Snapshot implements platform.Disks by snapshots of all EBS volumes at one moment, consistent as after
// a crash: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshots.html
// A pending snapshot shows that moment already, and is not there yet:
// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-create-snapshot.html
// Instance store volumes have none. Nothing here ever deletes a snapshot.
func (m *machine) Snapshot(ctx context.Context, inc string, intent func([]string) error) (incident.Snapshots, error) {
	out := incident.Snapshots{On: m.Name()}
	d, err := m.describe(ctx)
	if err != nil {
		return out, err
	}
	var volumes []string
	for _, disk := range d.Instances[0].Disks {
		if disk.Volume != "" {
			volumes = append(volumes, disk.Volume)
		}
	}
	if len(volumes) == 0 {
		return out, fmt.Errorf("%s has no EBS volume", m.Name())
	}
	if err := m.lookSnapshots(ctx, inc, volumes, &out); err != nil {
		return out, err
	}
	var failed error
	if len(out.Left) > 0 {
		if err := intent(volumes); err != nil {
			return out, err
		}
		if failed = m.snapshotAll(context.WithoutCancel(ctx), inc); final(failed) {
			return out, failed
		}
	}
	for looks := 0; ; looks++ {
		// A set that was just made may not be listed yet, and one whose answer was lost may be.
		if err := m.lookSnapshots(ctx, inc, volumes, &out); err != nil && ctx.Err() == nil {
			return out, err
		} else if err != nil {
			return out, failed // as they stood at the last look
		}
		if failed != nil && len(out.Left) > 0 && looks >= 2 {
			return out, failed
		}
		pending := slices.ContainsFunc(out.Disks, func(s incident.DiskSnapshot) bool { return s.State == "pending" })
		if !pending && (len(out.Left) == 0 || looks >= rounds) {
			return out, nil
		}
		if m.env.Sleep(ctx, snapshotPause) != nil {
			return out, nil // as they stand
		}
	}
}

func (m *machine) snapshotAll(ctx context.Context, inc string) error {
	now := m.env.Now().UTC().Format(time.RFC3339)
	tags := append(m.tags(inc), [2]string{tagHold, "evidence: do not delete"}, [2]string{tagTime, now})
	params := url.Values{"InstanceSpecification.InstanceId": {m.Instance}, "Description": {"Evidence of " + inc + ", taken by clawback"}}
	return m.call(ctx, "CreateSnapshots", tagged(params, "snapshot", tags), nil)
}

// lookSnapshots asks how this incident's copies stand. A volume keeps the best of several.
func (m *machine) lookSnapshots(ctx context.Context, inc string, volumes []string, out *incident.Snapshots) error {
	best := make(map[string]incident.DiskSnapshot)
	params := filters("tag:"+tagName, inc, "tag:"+tagMachine, m.Instance)
	params.Set("Owner.1", "self")
	err := pages(ctx, m.ec2, "DescribeSnapshots", params, func(d *describeSnapshots) {
		for _, s := range d.List {
			is := incident.DiskSnapshot{ID: s.ID, Volume: s.Volume, GB: s.GB, State: s.Status, Progress: s.Progress, Started: s.Started, Encrypted: s.Encrypted}
			if known, ok := best[s.Volume]; !ok || !known.Completed() && (is.Completed() || known.State == "error") {
				best[s.Volume] = is
			}
		}
	})
	if err != nil {
		return err
	}
	out.Disks, out.Left = nil, nil
	for _, v := range volumes {
		if s, ok := best[v]; ok && s.State != "error" {
			out.Disks = append(out.Disks, s)
		} else {
			out.Left = append(out.Left, v)
		}
	}
	return nil
}
