package deposit

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"clawback/forensics/incident"
	"clawback/forensics/journal/witness/s3fake"
)

// store is a bucket that locks, one that does not, and the fake behind them where it is one.
type store struct {
	options S3Options
	plain   string
	fake    *s3fake.Server
}

// stores are the fake, and with make test-s3 a real one.
func stores(t *testing.T) map[string]store {
	t.Helper()
	keyID, secret := rand.Text(), rand.Text()
	fake := &s3fake.Server{Bucket: "locked", KeyID: keyID, Locking: true}
	plain := &s3fake.Server{Bucket: "plain", KeyID: keyID}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/plain/") {
			plain.ServeHTTP(w, r)
			return
		}
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	all := map[string]store{"fake": {S3Options{
		Bucket: "locked", Region: "eu-central-1", Prefix: "/evidence/", Retain: 24 * time.Hour, Endpoint: server.URL, KeyID: given(keyID), SecretKey: given(secret),
	}, "plain", fake}}
	if endpoint := os.Getenv("CLAWBACK_TEST_S3"); endpoint != "" {
		all["real"] = realStore(t, endpoint)
	}
	return all
}

func given(secret string) Secret { return func() (string, error) { return secret, nil } }

// realStore makes two buckets in a store that keeps nothing for long. The names are new each time,
// since what is locked cannot be removed.
func realStore(t *testing.T, endpoint string) store {
	t.Helper()
	if !strings.HasPrefix(endpoint, "http://127.0.0.1:") {
		t.Fatalf("%s is not on loopback", endpoint)
	}
	name := strings.ToLower(rand.Text()[:16])
	o := S3Options{
		Bucket: "locked-" + name, Region: "us-east-1", Prefix: "evidence", Retain: 24 * time.Hour, Endpoint: endpoint,
		KeyID: given(os.Getenv("CLAWBACK_TEST_S3_KEY_ID")), SecretKey: given(os.Getenv("CLAWBACK_TEST_S3_SECRET")),
	}
	client := place(t, o).client
	for bucket, lock := range map[string]bool{o.Bucket: true, "plain-" + name: false} {
		if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket, ObjectLockEnabledForBucket: &lock}); err != nil {
			t.Fatal(err)
		}
	}
	return store{options: o, plain: "plain-" + name}
}

func place(t *testing.T, o S3Options) *S3 {
	t.Helper()
	s, err := NewS3(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const testedKey = "evidence/INC-1/files.tar.zst"

func TestS3Keeps(t *testing.T) {
	for name, store := range stores(t) {
		for how, size := range map[string]int{"empty": 0, "in one piece": 1 << 20, "in parts": 5<<20 + 5<<20 + 77} {
			t.Run(name+"/"+how, func(t *testing.T) {
				s := place(t, store.options)
				s.prefix += "/" + strings.ReplaceAll(how, " ", "-")
				s.part = 5 << 20
				f, content := fileOf(t, size)
				began := time.Now()
				kept, err := s.Put(t.Context(), "INC-1", f, true)
				if err != nil {
					t.Fatal(err)
				}
				if kept.Before || kept.Version == "" || !kept.Hold || kept.Until.Before(began.Add(24*time.Hour-time.Minute)) || len(kept.Proof) != 4 || len(kept.Unproved) != 0 {
					t.Errorf("%+v", kept)
				}
				cannotBeDestroyed(t, s, "INC-1/"+f.Name(), kept, content)
				again, err := s.Put(t.Context(), "INC-1", f, true)
				if err != nil || !again.Before || again.Version != kept.Version || !again.Until.Equal(kept.Until) || !again.Hold || again.SHA256 != f.SHA256 {
					t.Errorf("again: %+v, %v", again, err)
				}
				if store.fake != nil && store.fake.Uploads() != 0 {
					t.Error("an upload was not ended")
				}
			})
		}
	}
}

// cannotBeDestroyed tries, with all the rights that the keys have.
func cannotBeDestroyed(t *testing.T, s *S3, name string, kept incident.DepositedFile, want []byte) {
	t.Helper()
	key := s.key(name)
	if _, err := s.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key, VersionId: &kept.Version}); err == nil {
		t.Error("it could be deleted")
	}
	sooner := time.Now().Add(time.Hour)
	if _, err := s.client.PutObjectRetention(t.Context(), &s3.PutObjectRetentionInput{Bucket: &s.bucket, Key: &key, VersionId: &kept.Version,
		Retention: &types.ObjectLockRetention{Mode: types.ObjectLockRetentionModeCompliance, RetainUntilDate: &sooner}}); err == nil {
		t.Error("its lock could be shortened")
	}
	out, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &s.bucket, Key: &key, VersionId: &kept.Version})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Body.Close() }()
	if got, err := io.ReadAll(out.Body); err != nil || !bytes.Equal(got, want) {
		t.Errorf("it is another now: %v", err)
	}
}

// What lies there without a hold is put under one when that was declared since.
func TestS3HoldLater(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			s := place(t, store.options)
			f, _ := fileOf(t, 100)
			if kept, err := s.Put(t.Context(), "INC-1", f, false); err != nil || kept.Hold {
				t.Fatalf("%+v, %v", kept, err)
			}
			if kept, err := s.Put(t.Context(), "INC-1", f, true); err != nil || !kept.Hold || len(kept.Unproved) != 0 {
				t.Errorf("%+v, %v", kept, err)
			}
			longer := store.options
			longer.Retain *= 3
			if kept, err := place(t, longer).Put(t.Context(), "INC-1", f, false); err != nil || !kept.Until.Before(time.Now().Add(25*time.Hour)) {
				t.Errorf("with the lock that it has: %+v, %v", kept, err)
			}
		})
	}
}

func TestS3NeverReplaces(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			s := place(t, store.options)
			s.part = 5 << 20
			one, content := fileOf(t, 100)
			kept, err := s.Put(t.Context(), "INC-1", one, false)
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{100, 6 << 20} {
				other, _ := fileOf(t, size)
				if _, err := s.Put(t.Context(), "INC-1", other, false); !errors.Is(err, ErrOther) {
					t.Errorf("%v", err)
				}
				// The look beforehand is not what keeps it: two desks may look at once.
				if _, err := s.upload(t.Context(), testedKey, other, time.Now().Add(time.Hour), false); status(err) != http.StatusPreconditionFailed {
					t.Errorf("%v", err)
				}
			}
			cannotBeDestroyed(t, s, "INC-1/"+one.Name(), kept, content)
		})
	}
}

// A bucket without Object Lock is an error, whether the store refuses the request or ignores it.
func TestS3SaysThatItIsNotLocked(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			o := store.options
			o.Bucket = store.plain
			f, _ := fileOf(t, 100)
			if _, err := place(t, o).Put(t.Context(), "INC-1", f, false); err == nil || !strings.Contains(err.Error(), "without Object Lock") {
				t.Errorf("a bucket that cannot lock: %v", err)
			}
			if store.fake == nil {
				return
			}
			store.fake.Ignorant = true
			for range 2 { // the second finds it there
				if _, err := place(t, store.options).Put(t.Context(), "INC-1", f, false); !errors.Is(err, ErrNotLocked) {
					t.Errorf("a store that ignores the lock: %v", err)
				}
			}
		})
	}
}

// What the store says is believed only where it was asked for, and what it gives back only where it is
// what was put there.
func TestS3LooksAtWhatTheStoreSays(t *testing.T) {
	xml := func(format string, args ...any) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { fmt.Fprintf(w, format, args...) }
	}
	code := func(n int, word string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.WriteHeader(n)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>m</Message></Error>", word)
		}
	}
	until := time.Now().Add(48 * time.Hour).UTC().Format(time.RFC3339)
	tests := map[string]struct {
		method, query string
		answer        func(http.ResponseWriter)
		says          string // of the error; "" for none
		unproved      string
	}{
		"no lock":                 {"GET", "retention", code(404, "NoSuchObjectLockConfiguration"), "did not lock", ""},
		"governance":              {"GET", "retention", xml("<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>%s</RetainUntilDate></Retention>", until), "did not lock", ""},
		"shorter":                 {"GET", "retention", xml("<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>%s</RetainUntilDate></Retention>", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)), "did not lock", ""},
		"no date":                 {"GET", "retention", xml("<Retention><Mode>COMPLIANCE</Mode></Retention>"), "did not lock", ""},
		"may not ask":             {"GET", "retention", code(403, "AccessDenied"), "", "that it is locked"},
		"lock asked in vain":      {"GET", "retention", code(500, "InternalError"), "500", ""},
		"no hold":                 {"GET", "legal-hold", xml("<LegalHold><Status>OFF</Status></LegalHold>"), "", "says that it is under none"},
		"may not ask of the hold": {"GET", "legal-hold", code(403, "AccessDenied"), "", "the legal hold: "},
		"other bytes":             {"GET", "", func(w http.ResponseWriter) { _, _ = w.Write(bytes.Repeat([]byte("x"), 1000)) }, "other content", ""},
		"fewer bytes":             {"GET", "", func(http.ResponseWriter) {}, "other content", ""},
		"endless bytes":           {"GET", "", func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, 8<<20)) }, "other content", ""},
		"not readable":            {"GET", "", code(403, "AccessDenied"), "keys may not do that", ""},
		"gone":                    {"GET", "", code(404, "NoSuchKey"), "404", ""},
		"refused":                 {"PUT", "", code(403, "AccessDenied"), "403", ""},
		"busy":                    {"PUT", "", code(503, "SlowDown"), "503", ""},
		"redirected":              {"PUT", "", func(w http.ResponseWriter) { w.Header().Set("Location", "http://127.0.0.1:1/"); w.WriteHeader(307) }, "307", ""},
		"as it should be":         {"TRACE", "", nil, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			store := stores(t)["fake"]
			store.fake.Before = func(w http.ResponseWriter, r *http.Request) bool {
				q := r.URL.Query()
				plain := !q.Has("retention") && !q.Has("legal-hold")
				if r.Method != test.method || test.query == "" && !plain || test.query != "" && !q.Has(test.query) {
					return false
				}
				test.answer(w)
				return true
			}
			f, _ := fileOf(t, 1000)
			kept, err := place(t, store.options).Put(t.Context(), "INC-1", f, true)
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) || len(err.Error()) > 400 {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || (len(kept.Unproved) == 0) != (test.unproved == "") || !strings.Contains(strings.Join(kept.Unproved, "\n"), test.unproved) {
				t.Errorf("%+v, %v", kept, err)
			}
		})
	}
}

// A part that does not arrive costs the upload, and nothing of it is left lying about.
func TestS3GivesUpAnUpload(t *testing.T) {
	store := stores(t)["fake"]
	s := place(t, store.options)
	s.part = 5 << 20
	store.fake.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("partNumber") != "2" {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	f, _ := fileOf(t, 6<<20)
	if _, err := s.Put(t.Context(), "INC-1", f, false); err == nil || store.fake.Uploads() != 0 || len(store.fake.Objects()) != 0 {
		t.Errorf("%v, %d uploads left", err, store.fake.Uploads())
	}
}

// No more of a file is in memory than buffers.
func TestS3Streams(t *testing.T) {
	path := t.TempDir() + "/files.tar.zst"
	const size = 300 << 20
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size)); err != nil { // a hole
		t.Fatal(err)
	}
	most := uint64(0)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapInuse)
		q := r.URL.Query()
		switch {
		case r.Method == http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		case q.Has("retention"):
			fmt.Fprintf(w, "<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>%s</RetainUntilDate></Retention>", time.Now().Add(25*time.Hour).UTC().Format(time.RFC3339))
		case q.Has("uploads"):
			fmt.Fprint(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
		case r.Method == http.MethodPost:
			fmt.Fprint(w, "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
		case r.Method == http.MethodGet:
			block := make([]byte, 1<<20)
			for range size >> 20 {
				_, _ = w.Write(block)
			}
		}
	}))
	defer server.Close()
	f, err := Look(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	s := place(t, S3Options{Bucket: "b", Region: "r", Retain: 24 * time.Hour, Endpoint: server.URL, KeyID: given("k"), SecretKey: given("s")})
	for _, s.part = range []int64{partSize, size} {
		if kept, err := s.Put(t.Context(), "INC-1", f, false); err != nil || kept.Bytes != size {
			t.Fatalf("%+v, %v", kept, err)
		}
	}
	if most > 100<<20 {
		t.Errorf("%d MB were in use", most>>20)
	}
}

func TestS3ErrorsHoldNoSecret(t *testing.T) {
	store := stores(t)["fake"]
	secret := rand.Text()
	o := store.options
	o.KeyID = given(secret)
	f, _ := fileOf(t, 10)
	if _, err := place(t, o).Put(t.Context(), "INC-1", f, false); err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "403") {
		t.Errorf("refused keys: %v", err)
	}
	o.SecretKey = func() (string, error) { return "", errors.New("environment variable X is not set") }
	if _, err := place(t, o).Put(t.Context(), "INC-1", f, false); err == nil || !strings.Contains(err.Error(), "X is not set") {
		t.Errorf("no key: %v", err)
	}
}

func TestS3Options(t *testing.T) {
	good := S3Options{Bucket: "b", Region: "eu-central-1", Retain: 24 * time.Hour, KeyID: given("a"), SecretKey: given("b")}
	for name, change := range map[string]func(o *S3Options){
		"bucket": func(o *S3Options) { o.Bucket = "" }, "a path": func(o *S3Options) { o.Bucket = "a/b" }, "region": func(o *S3Options) { o.Region = "" },
		"retain": func(o *S3Options) { o.Retain = time.Hour }, "key": func(o *S3Options) { o.KeyID = nil }, "secret": func(o *S3Options) { o.SecretKey = nil },
		"open": func(o *S3Options) { o.Endpoint = "http://s3.example.com" }, "a query": func(o *S3Options) { o.Endpoint = "https://s3.example.com/?x" },
	} {
		o := good
		change(&o)
		if _, err := NewS3(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	s := place(t, good)
	if s.Kind() != "s3" || s.Folder("INC-1") != "s3://b/INC-1" {
		t.Error(s.Folder("INC-1"))
	}
}
