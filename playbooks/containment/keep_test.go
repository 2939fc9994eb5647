package containment

import (
	"net/netip"
	"testing"
)

func TestParseKeep(t *testing.T) {
	for text, want := range map[string]string{
		"siem=10.0.0.5:6514":          "10.0.0.5:6514",
		"edr-2=[2001:db8::5]:443":     "[2001:db8::5]:443",
		"siem=[::ffff:10.0.0.5]:6514": "10.0.0.5:6514",
	} {
		k, err := ParseKeep(text)
		if err != nil || k.Addr != netip.MustParseAddrPort(want) {
			t.Errorf("%s: %v, %v", text, k, err)
		}
		if again, err := ParseKeep(k.String()); err != nil || again != k {
			t.Errorf("%s: written and read again: %v, %v", text, again, err)
		}
	}
	for _, text := range []string{"", "siem", "=10.0.0.5:6514", "siem=10.0.0.5", "siem=siem.example.com:6514", "siem=10.0.0.5:0", "siem=0.0.0.0:6514",
		"siem=[::]:6514", "siem=127.0.0.1:6514", "siem=224.0.0.1:6514", "siem=255.255.255.255:6514", "siem=[fe80::1%eth0]:6514", "a b=10.0.0.5:6514",
		"-x=10.0.0.5:6514", "siem=10.0.0.5:65536", "siem=10.0.0.5:6514 "} {
		if k, err := ParseKeep(text); err == nil {
			t.Errorf("%q is kept: %v", text, k)
		}
	}
}

func FuzzParseKeep(f *testing.F) {
	f.Add("siem=10.0.0.5:6514")
	f.Add("e=[2001:db8::5]:443")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKeep(text)
		if err != nil {
			return
		}
		if again, err := ParseKeep(k.String()); err != nil || again != k || !k.Addr.IsValid() {
			t.Errorf("%q: %v, %v, %v", text, k, again, err)
		}
	})
}
