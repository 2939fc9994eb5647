package witness

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"clawback/forensics/journal/witness/s3fake"
)

// store is a store with two buckets, one that can lock and one that cannot.
type store struct {
	options S3Options // with the bucket that locks
	plain   string    // the other
	fake    *s3fake.Server
}

func given(secret string) Secret { return func() (string, error) { return secret, nil } }

// stores gives the fake, and a real store on loopback when the environment names one: see
// make test-s3.
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
		Bucket: "locked", Region: "eu-central-1", Prefix: "clawback", Retain: 24 * time.Hour, Endpoint: server.URL, KeyID: given(keyID), SecretKey: given(secret),
	}, "plain", fake}}
	if endpoint := os.Getenv("CLAWBACK_TEST_S3"); endpoint != "" {
		all["real"] = realStore(t, endpoint)
	}
	return all
}

// realStore makes two buckets in a store that keeps nothing for long. The names are new each time,
// since what is locked cannot be removed.
func realStore(t *testing.T, endpoint string) store {
	t.Helper()
	if !strings.HasPrefix(endpoint, "http://127.0.0.1:") {
		t.Fatalf("%s is not on loopback", endpoint)
	}
	name := strings.ToLower(rand.Text()[:16])
	o := S3Options{
		Bucket: "locked-" + name, Region: "us-east-1", Prefix: "clawback", Retain: 24 * time.Hour, Endpoint: endpoint,
		KeyID: given(os.Getenv("CLAWBACK_TEST_S3_KEY_ID")), SecretKey: given(os.Getenv("CLAWBACK_TEST_S3_SECRET")),
	}
	client := admin(t, o)
	for bucket, lock := range map[string]bool{o.Bucket: true, "plain-" + name: false} {
		if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket, ObjectLockEnabledForBucket: &lock}); err != nil {
			t.Fatal(err)
		}
	}
	return store{options: o, plain: "plain-" + name}
}

// admin is whoever has the keys and wants to destroy what is there.
func admin(t *testing.T, o S3Options) *s3.Client {
	t.Helper()
	w, err := NewS3(o)
	if err != nil {
		t.Fatal(err)
	}
	return w.client
}

func TestS3KeepsWhatNobodyCanDelete(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			sink, err := NewS3(store.options)
			if err != nil {
				t.Fatal(err)
			}
			entries := entriesOf(t, 5)
			note := "clawback/INC-1\n5\nAAAA\n\n— clawback/INC-1 BBBB\n"
			for _, d := range []Delivery{deliveryOf(entries[:3], ""), deliveryOf(entries[3:], note), deliveryOf(entries[3:], note), {Incident: "INC-1", Checkpoint: []byte(note), Size: 5}} {
				if err := sink.Send(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			for key, want := range map[string][]byte{
				"clawback/INC-1/entries-0000000001-0000000003.jsonl": linesOf(entries[:3]),
				"clawback/INC-1/entries-0000000004-0000000005.jsonl": linesOf(entries[3:]),
				"clawback/INC-1/checkpoint-0000000005":               []byte(note),
			} {
				cannotBeDestroyed(t, admin(t, store.options), store.options.Bucket, key, want)
			}
		})
	}
}

// cannotBeDestroyed tries, with the keys that wrote it.
func cannotBeDestroyed(t *testing.T, client *s3.Client, bucket, key string, want []byte) {
	t.Helper()
	get, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	got, err := io.ReadAll(get.Body)
	_ = get.Body.Close()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s holds %q, %v", key, got, err)
	}
	if get.ObjectLockMode != types.ObjectLockModeCompliance || time.Until(aws.ToTime(get.ObjectLockRetainUntilDate)) < 23*time.Hour {
		t.Errorf("%s is locked in mode %q until %s", key, get.ObjectLockMode, aws.ToTime(get.ObjectLockRetainUntilDate))
	}
	if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key, VersionId: get.VersionId}); status(err) != http.StatusForbidden && status(err) != http.StatusBadRequest {
		t.Errorf("%s was deleted: %v", key, err)
	}
	if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key, VersionId: get.VersionId, BypassGovernanceRetention: aws.Bool(true)}); err == nil {
		t.Errorf("%s was deleted by who bypasses governance", key)
	}
	for name, r := range map[string]types.ObjectLockRetention{
		"shortened": {Mode: types.ObjectLockRetentionModeCompliance, RetainUntilDate: aws.Time(time.Now().Add(time.Minute))},
		"weakened":  {Mode: types.ObjectLockRetentionModeGovernance, RetainUntilDate: aws.Time(time.Now().Add(48 * time.Hour))},
	} {
		if _, err := client.PutObjectRetention(t.Context(), &s3.PutObjectRetentionInput{Bucket: &bucket, Key: &key, VersionId: get.VersionId, Retention: &r, BypassGovernanceRetention: aws.Bool(true)}); err == nil {
			t.Errorf("the lock of %s was %s", key, name)
		}
	}
	again, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key, VersionId: get.VersionId})
	if err != nil {
		t.Fatalf("%s is gone: %v", key, err)
	}
	got, err = io.ReadAll(again.Body)
	_ = again.Body.Close()
	if err != nil || !bytes.Equal(got, want) || again.ObjectLockMode != types.ObjectLockModeCompliance || !aws.ToTime(again.ObjectLockRetainUntilDate).Equal(aws.ToTime(get.ObjectLockRetainUntilDate)) {
		t.Errorf("%s is another now: %q, %s until %s, %v", key, got, again.ObjectLockMode, again.ObjectLockRetainUntilDate, err)
	}
}

func TestS3NeverReplaces(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			sink, err := NewS3(store.options)
			if err != nil {
				t.Fatal(err)
			}
			one, other := deliveryOf(entriesOf(t, 2), ""), deliveryOf(entriesOf(t, 2), "")
			if err := sink.Send(t.Context(), one); err != nil {
				t.Fatal(err)
			}
			if err := sink.Send(t.Context(), other); err == nil || !strings.Contains(err.Error(), "other content") {
				t.Errorf("another history under the same name: %v", err)
			}
			key := "clawback/INC-1/entries-0000000001-0000000002.jsonl"
			cannotBeDestroyed(t, admin(t, store.options), store.options.Bucket, key, linesOf(one.Entries))
		})
	}
}

// A bucket without Object Lock is an error, whether the store refuses the request or ignores it.
func TestS3SaysThatItIsNotLocked(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			o := store.options
			o.Bucket = store.plain
			sink, err := NewS3(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := sink.Send(t.Context(), deliveryOf(entriesOf(t, 1), "")); err == nil || !strings.Contains(err.Error(), "InvalidRequest") {
				t.Errorf("a bucket that cannot lock: %v", err)
			}
			if store.fake == nil {
				return
			}
			store.fake.Ignorant = true
			sink, err = NewS3(store.options)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := sink.Send(t.Context(), deliveryOf(entriesOf(t, 1)[:0], "")); err != nil {
					t.Fatal(err)
				}
				if err := sink.Send(t.Context(), deliveryOf(entriesOf(t, 1), "")); err == nil {
					t.Error("a store that ignores the lock counts as one that locks")
				}
			}
			entries := entriesOf(t, 3)
			if err := sink.Send(t.Context(), deliveryOf(entries[2:], "")); !errors.Is(err, ErrNotLocked) {
				t.Errorf("Send returned %v", err)
			}
			if err := sink.Send(t.Context(), deliveryOf(entries[2:], "")); !errors.Is(err, ErrNotLocked) {
				t.Errorf("the second time Send returned %v", err)
			}
		})
	}
}

func TestS3LooksAtWhatTheStoreSays(t *testing.T) {
	tests := map[string]struct {
		tamper func(h http.Header)
		says   string
	}{
		"no lock":    {func(h http.Header) { h.Del("x-amz-object-lock-mode") }, "did not lock"},
		"governance": {func(h http.Header) { h.Set("x-amz-object-lock-mode", "GOVERNANCE") }, "did not lock"},
		"shorter": {func(h http.Header) {
			h.Set("x-amz-object-lock-retain-until-date", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		}, "did not lock"},
		"no date":         {func(h http.Header) { h.Del("x-amz-object-lock-retain-until-date") }, "did not lock"},
		"other content":   {func(h http.Header) { h.Set("x-amz-checksum-sha256", "AAAA") }, "other content"},
		"no checksum":     {func(h http.Header) { h.Del("x-amz-checksum-sha256") }, "other content"},
		"as it should be": {func(http.Header) {}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			store := stores(t)["fake"]
			store.fake.Before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodHead {
					return false
				}
				store.fake.Before = nil
				answer := httptest.NewRecorder()
				store.fake.ServeHTTP(answer, r)
				test.tamper(answer.Header())
				for k, v := range answer.Header() {
					w.Header()[k] = v
				}
				w.WriteHeader(answer.Code)
				return true
			}
			sink, err := NewS3(store.options)
			if err != nil {
				t.Fatal(err)
			}
			err = sink.Send(t.Context(), deliveryOf(entriesOf(t, 1), ""))
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("Send returned %v", err)
			}
		})
	}
}

func TestS3ErrorsAreShortAndHoldNoSecret(t *testing.T) {
	store := stores(t)["fake"]
	secret := rand.Text()
	o := store.options
	o.KeyID = given(secret)
	sink, err := NewS3(o)
	if err != nil {
		t.Fatal(err)
	}
	var later *LaterError
	if err := sink.Send(t.Context(), deliveryOf(entriesOf(t, 1), "")); err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "403 AccessDenied") || !errors.As(err, &later) {
		t.Errorf("refused keys: %v", err)
	}
	store.fake.Before = func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "<Error><Code>SlowDown</Code><Message>"+strings.Repeat(r.Header.Get("Authorization"), 100)+"</Message></Error>")
		return true
	}
	sink, _ = NewS3(store.options)
	if err := sink.Send(t.Context(), deliveryOf(entriesOf(t, 1), "")); err == nil || len(err.Error()) > 200 || errors.As(err, &later) && later.After > 0 && !strings.Contains(err.Error(), "SlowDown") {
		t.Errorf("a busy store: %v", err)
	}
	o = store.options
	o.SecretKey = func() (string, error) { return "", errors.New("environment variable X is not set") }
	sink, _ = NewS3(o)
	if err := sink.Send(t.Context(), deliveryOf(entriesOf(t, 1), "")); err == nil || !strings.Contains(err.Error(), "X is not set") {
		t.Errorf("no key: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the end")
	cancel(why)
	sink, _ = NewS3(store.options)
	if err := sink.Send(ctx, deliveryOf(entriesOf(t, 1), "")); !errors.Is(err, why) {
		t.Errorf("ctx was done: %v", err)
	}
}

func TestS3Options(t *testing.T) {
	good := S3Options{Bucket: "b", Region: "eu-central-1", Retain: 24 * time.Hour, KeyID: given("a"), SecretKey: given("b")}
	for name, change := range map[string]func(o *S3Options){
		"bucket": func(o *S3Options) { o.Bucket = "" }, "a path": func(o *S3Options) { o.Bucket = "a/b" }, "region": func(o *S3Options) { o.Region = "" },
		"retain": func(o *S3Options) { o.Retain = time.Hour }, "key": func(o *S3Options) { o.KeyID = nil }, "secret": func(o *S3Options) { o.SecretKey = nil },
		"open": func(o *S3Options) { o.Endpoint = "http://s3.example.com" },
	} {
		o := good
		change(&o)
		if _, err := NewS3(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := NewS3(good); err != nil {
		t.Error(err)
	}
}

func TestS3ObjectsStandInOrder(t *testing.T) {
	var keys []string
	for _, n := range []uint64{1, 9, 10, 99, 1000, 123456789} {
		keys = append(keys, fmt.Sprintf("entries-%010d-", n))
	}
	if !slices.IsSorted(keys) {
		t.Errorf("%q", keys)
	}
}
