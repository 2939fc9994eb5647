// Package background tells lipgloss that the terminal is dark, so that nobody asks the terminal.
//
// Bubble Tea v1 asks for the background colour while it initialises, and a terminal that does not
// answer then holds up every command of the program for five seconds. Packages initialise in the
// order of their import paths once what they import is ready: this one needs lipgloss alone, and
// clawback/… sorts before github.com/charmbracelet/bubbletea. So it must import nothing else, and
// every program that links Bubble Tea imports it.
package background

import "github.com/charmbracelet/lipgloss"

func init() { lipgloss.SetHasDarkBackground(true) }
