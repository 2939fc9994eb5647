package tui

import tea "github.com/charmbracelet/bubbletea"

// guest reports whether the response belongs to another process: leaving the console leaves it alone.
func (c *console) guest() bool { return c.o.Attached || c.o.Submit == nil }

// closed says why nothing can be asked of the response from here, and "" where it can.
func (c *console) closed() string {
	if c.o.Submit == nil && c.rec.active() {
		return "this console only watches: clawback attach " + c.rec.Declared.Incident
	}
	return c.rec.ended()
}

// globalKeys work on every screen.
func (c *console) globalKeys() []binding {
	help := binding{keys: []string{"?"}, label: "?", text: "help", do: func() tea.Cmd { return c.push(&helpOverlay{of: c.screen}) }}
	still := binding{keys: []string{"ctrl+z"}, label: "ctrl+z", text: "suspend the console", quiet: true, off: c.awake(), do: c.suspend}
	if !c.guest() {
		return []binding{
			help,
			{keys: []string{"q"}, label: "q", text: "leave", quiet: c.rec.active(), do: c.leave},
			{keys: []string{"ctrl+c"}, label: "ctrl+c", text: "stop after the steps under way; again: leave at once", quiet: true, do: c.stop},
			still,
		}
	}
	leave := "leave"
	if c.rec.active() {
		leave = "leave, it goes on"
	}
	all := []binding{
		help,
		{keys: []string{"q", "ctrl+c"}, label: "q", text: leave, do: c.leave},
		still,
	}
	if c.o.Attached {
		all = append(all, binding{keys: []string{"Q"}, label: "Q", text: "stop the response", quiet: true, off: c.rec.ended(), do: c.askToStop})
	}
	return all
}

// leave ends the console, and asks before it ends a response with it.
func (c *console) leave() tea.Cmd {
	if !c.rec.active() || c.guest() {
		return tea.Quit
	}
	return c.askToStop()
}

// askToStop asks before it ends the response. Whoever runs it leaves with it.
func (c *console) askToStop() tea.Cmd {
	o := &sureOverlay{
		head: "Stop the response and leave?",
		text: []string{
			"The response is not over. Steps under way come to their end, and no further step begins.",
			"Nothing that was done is undone, and the agent stays as it is.",
		},
		label: "stop and leave", safe: true,
		do: func() tea.Cmd { return c.interrupt(tea.QuitMsg{}) },
	}
	if c.guest() {
		o.head, o.label = "Stop the response?", "stop it"
		o.text = append(o.text, "To leave it to others, go back and press q.")
		o.do = func() tea.Cmd { return c.interrupt(nil) }
	}
	return c.push(o)
}

// stop is ctrl+c: the first asks the response to end, the second leaves. A guest only leaves.
func (c *console) stop() tea.Cmd {
	if c.stopping || !c.rec.active() || c.guest() {
		return tea.Quit
	}
	return c.interrupt(nil)
}

// interrupt asks the response to end; then says so.
func (c *console) interrupt(then tea.Msg) tea.Cmd {
	c.stopping = true
	return c.work.cmd(func() tea.Msg {
		if c.o.Interrupt == nil {
			return then
		}
		if err := c.o.Interrupt(); err != nil {
			return stoppedMsg{err}
		}
		return then
	})
}

// interrupted says that the response could not be asked to end.
func (c *console) interrupted(err error) {
	c.stopping = false
	c.complain("the response was not asked to end: " + err.Error())
}
