package wire

import "testing"

func TestAddress(t *testing.T) {
	for text, want := range map[string]bool{
		"https://a.test/x?y=z": true, "https://a.test:8443": true, "http://127.0.0.1:80/x": true, "http://[::1]/x": true, "http://localhost:1/": true,
		"http://a.test/x": false, "http://localhost.evil.test/": false, "http://127.0.0.1.evil.test/": false, "ftp://a.test": false,
		"//a.test/x": false, "https:///x": false, "https://:443/x": false, "https://u:p@a.test/": false, "https://a.test/#x": false, "": false, "https://a\x00b/": false,
	} {
		if u, err := Address(text); (err == nil) != want || (u != nil) != want {
			t.Errorf("%q: %v, %v", text, u, err)
		}
	}
}
