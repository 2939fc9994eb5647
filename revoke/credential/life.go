package credential

// Life is where a credential stands between its discovery and its proven death. Each change is
// an entry of the journal.
type Life string

const (
	Found       Life = "found"       // known, nothing done yet
	Requested   Life = "requested"   // its revocation is on its way to the provider
	Accepted    Life = "accepted"    // the provider took the revocation
	Propagating Life = "propagating" // refused at least once, not yet for as long as the provider may lag
	Dead        Life = "dead"        // refused again and again over the provider's propagation budget
	Alive       Life = "alive"       // it answered after its revocation should have bitten
	Manual      Life = "manual"      // waits for a person
	Unverified  Life = "unverified"  // revoked or done by hand, and no proof could be had
	Failed      Life = "failed"      // the revocation was refused or could not be made
	Skipped     Life = "skipped"     // ours, or left alone by a decision
)

// Settled reports whether nothing more happens to the credential by itself.
func (l Life) Settled() bool {
	switch l {
	case Dead, Alive, Unverified, Failed, Skipped:
		return true
	}
	return false
}
