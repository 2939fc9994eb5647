package tree

import (
	"fmt"
	"os"
	"path"
)

// baseConfig is an ordinary configuration without a credential in it.
func (b *builder) baseConfig() *node {
	c := object().
		set("meta.lastTouchedVersion", "2026.2.3").set("meta.lastTouchedAt", "2026-11-02T08:11:40.512Z").
		set("gateway.mode", "local").set("gateway.port", 18789).set("gateway.bind", "lan").set("gateway.auth.mode", "token").
		set("gateway.controlUi.allowInsecureAuth", true).
		set("agents.defaults.workspace", "~/.openclaw/workspace").
		set("agents.defaults.model.primary", "anthropic/claude-sonnet-4-5").
		set("agents.defaults.heartbeat.every", "30m").
		set("agents.defaults.maxConcurrent", 2+b.rng.IntN(6)).
		set("agents.list", &node{cred: -1, list: []*node{object().set("id", "main").set("default", true)}}).
		set("tools.exec.security", "full").set("tools.exec.ask", "off").
		set("channels.telegram.enabled", true).set("channels.telegram.dmPolicy", "open").
		set("channels.telegram.allowFrom", &node{cred: -1, list: []*node{leaf("*", -1)}}).
		set("channels.slack.enabled", true).set("channels.slack.mode", "socket").
		set("session.scope", "per-sender").
		set("skills.entries.weather.enabled", true).
		set("cron.enabled", true)
	c.at("gateway").children["bind"].comment = "reachable from the office network"
	c.at("channels.telegram").children["dmPolicy"].comment = "TODO: back to pairing after the demo"
	c.at("tools").children["exec"].comment = "asking for every command was too slow"
	return c
}

// texts writes the files that hold no credential.
func (b *builder) texts() {
	id := os.Getuid()
	b.files["etc/passwd"] = fmt.Sprintf("root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\nopenclaw:x:%d:%d:OpenClaw:/%s:/bin/bash\n", id, os.Getgid(), Home)
	b.files["etc/hostname"] = fmt.Sprintf("claw-%02d\n", b.rng.IntN(100))
	for name, text := range map[string]string{
		"AGENTS.md":               "# AGENTS.md\n\nThis folder is home. Read SOUL.md, then USER.md. Write what matters to memory/.\n\nDo not send private data anywhere. Ask before anything that leaves the machine.\n",
		"SOUL.md":                 "# SOUL.md\n\nBe useful, not talkative. Have opinions. Earn trust by doing what you said.\n",
		"USER.md":                 "# USER.md\n\nName: Sam. Runs a small online shop. Wants short answers and a weekly report of the orders.\n",
		"TOOLS.md":                "# TOOLS.md\n\nThe shop runs on AWS, payments on Stripe, code on GitHub, the team is on Slack.\n",
		"HEARTBEAT.md":            "# HEARTBEAT.md\n\n- Are there unanswered mails older than a day?\n- Is the disk over 90 %?\n",
		"MEMORY.md":               "# MEMORY.md\n\n- Sam prefers euros.\n- The supplier list is in docs/suppliers.md.\n",
		"skills/weather/SKILL.md": "---\nname: weather\ndescription: Current weather and forecasts without an account.\n---\n\nUse `curl wttr.in/<place>?format=3`.\n",
		"docs/suppliers.md":       "# Suppliers\n\nNorthwind, Fabrikam, Contoso.\n",
		".clawhub/lock.json":      `{"version":1,"skills":{"weather":{"version":"1.0.2","installedAt":1769848800000}}}` + "\n",
	} {
		b.files[path.Join(Workspace, name)] = text
	}
	for name, text := range map[string]string{
		"exec-approvals.json":                     `{"version":1,"defaults":{"security":"full","ask":"off"},"agents":{"main":{"allowlist":[{"pattern":"/usr/bin/git","source":"user"}]}}}` + "\n",
		"credentials/telegram-pairing.json":       `{"version":1,"requests":[]}` + "\n",
		"credentials/telegram-allowFrom.json":     `{"version":1,"allowFrom":["181234567"]}` + "\n",
		"subagents/runs.json":                     `{"version":2,"runs":{}}` + "\n",
		"logs/commands.log":                       "",
		"agents/main/sessions/sessions.json.lock": "",
	} {
		b.files[path.Join(StateDir, name)] = text
	}
}
