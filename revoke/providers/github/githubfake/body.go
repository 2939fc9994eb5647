package githubfake

import (
	"fmt"
	"strings"
)

// api is the address that a body's links start with.
func (f *Fake) api() string { return "https://" + f.host + f.prefix }

// simpleUser is a token's user as others see it.
func (f *Fake) simpleUser(t *token) map[string]any { return f.account(t.login, 1000+t.id) }

// account is a user or organization as others see it.
func (f *Fake) account(login string, id int) map[string]any {
	url := f.api() + "/users/" + login
	u := map[string]any{
		"login": login, "id": id, "node_id": fmt.Sprintf("U_%d", id), "type": "User",
		"site_admin": false, "gravatar_id": "", "url": url,
		"avatar_url": "https://avatars.githubusercontent.com/u/" + fmt.Sprint(id),
		"html_url":   "https://github.com/" + login,
	}
	for _, link := range []string{"followers", "following", "gists", "starred", "subscriptions",
		"organizations", "repos", "events", "received_events"} {
		u[link+"_url"] = url + "/" + link
	}
	return u
}

// userBody is a user as it sees itself.
func (f *Fake) userBody(t *token) map[string]any {
	u := f.simpleUser(t)
	u["user_view_type"] = "private"
	for _, text := range []string{"bio", "blog", "company", "email", "hireable", "location", "name"} {
		u[text] = nil
	}
	for _, count := range []string{"followers", "following", "public_gists", "public_repos", "collaborators",
		"disk_usage", "owned_private_repos", "private_gists", "total_private_repos"} {
		u[count] = 0
	}
	u["created_at"], u["updated_at"] = "2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"
	u["two_factor_authentication"] = true
	return u
}

// repoBody is the one private repository that a token reaches.
func (f *Fake) repoBody(t *token) map[string]any {
	name := "payments"
	full := t.login + "/" + name
	url := f.api() + "/repos/" + full
	web := "https://github.com/" + full
	r := map[string]any{
		"id": 2000 + t.id, "node_id": fmt.Sprintf("R_%d", t.id), "name": name, "full_name": full,
		"owner": f.simpleUser(t), "private": true, "visibility": "private", "fork": false,
		"url": url, "html_url": web, "clone_url": web + ".git", "svn_url": web,
		"git_url": "git://github.com/" + full + ".git", "ssh_url": "git@github.com:" + full + ".git",
		"default_branch": "main", "archived": false, "disabled": false,
		"permissions": map[string]any{"admin": false, "push": true, "pull": true},
	}
	for _, none := range []string{"description", "homepage", "language", "mirror_url", "license"} {
		r[none] = nil
	}
	for _, count := range []string{"forks", "forks_count", "open_issues", "open_issues_count", "size",
		"stargazers_count", "watchers", "watchers_count"} {
		r[count] = 0
	}
	for _, has := range []string{"downloads", "issues", "pages", "projects", "wiki"} {
		r["has_"+has] = false
	}
	for _, at := range []string{"created_at", "updated_at", "pushed_at"} {
		r[at] = "2024-01-02T03:04:05Z"
	}
	for _, link := range strings.Fields(`archive assignees blobs branches collaborators comments commits compare
		contents contributors deployments downloads events forks git_commits git_refs git_tags hooks issue_comment
		issue_events issues keys labels languages merges milestones notifications pulls releases stargazers
		statuses subscribers subscription tags teams trees`) {
		r[link+"_url"] = url + "/" + link
	}
	return r
}
