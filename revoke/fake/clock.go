package fake

import "clawback/revoke"

// Clock is the time that a simulated world runs by.
type Clock = revoke.Clock

// Wall is the real clock, which worlds run by inside a testing/synctest bubble.
type Wall = revoke.Wall
