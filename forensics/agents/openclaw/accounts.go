package openclaw

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// maxPasswd bounds /etc/passwd and /etc/group.
const maxPasswd = 4 << 20

// Account is one line of /etc/passwd.
type Account struct {
	Name string
	UID  int
	GID  int
	Home string // slash-separated, below the root, no leading slash
	// Groups are the groups that /etc/group adds to GID.
	Groups []int
}

// Accounts reads /etc/passwd and /etc/group below root. A tree without them has no accounts.
func Accounts(root Root) ([]Account, []Problem) {
	accounts, problems := readAccounts(root)
	data, err := ReadFile(root, "etc/group", maxPasswd)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrSilent) {
			problems = append(problems, ProblemOf("etc/group", err))
		}
		return accounts, problems
	}
	byName := map[string]int{}
	for i, a := range accounts {
		byName[a.Name] = i
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), ":")
		if len(f) < 4 {
			continue
		}
		gid, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			continue
		}
		for name := range strings.SplitSeq(f[3], ",") {
			if i, ok := byName[name]; ok {
				accounts[i].Groups = append(accounts[i].Groups, int(gid))
			}
		}
	}
	return accounts, problems
}

// readAccounts reads /etc/passwd below root.
func readAccounts(root Root) ([]Account, []Problem) {
	data, err := ReadFile(root, "etc/passwd", maxPasswd)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrSilent) {
		return nil, nil
	}
	if err != nil {
		return nil, []Problem{ProblemOf("etc/passwd", err)}
	}
	var accounts []Account
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), ":")
		if len(f) < 6 {
			continue
		}
		uid, err := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if err != nil || err2 != nil || !strings.HasPrefix(f[5], "/") {
			continue
		}
		home := strings.TrimPrefix(path.Clean(f[5]), "/")
		if home == "" {
			home = "."
		}
		accounts = append(accounts, Account{Name: f[0], UID: int(uid), GID: int(gid), Home: home})
	}
	return accounts, nil
}
