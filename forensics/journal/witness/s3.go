package witness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// S3 keeps each delivery as objects of their own, PREFIX/INCIDENT/entries-FIRST-LAST.jsonl and
// PREFIX/INCIDENT/checkpoint-SIZE, under Object Lock in compliance mode: until the date that each
// carries, nobody can delete or replace it or shorten the lock, not the owner of the account either.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
//
// After each upload the store is asked what lock the object has, because one that knows no Object
// Lock takes the request and ignores it. The credentials need s3:PutObject, s3:PutObjectRetention,
// s3:GetObject and s3:GetObjectRetention, and should have nothing else.
type S3 struct {
	client *s3.Client
	bucket string
	prefix string
	retain time.Duration
}

// S3Options say where objects go and for how long they are locked.
type S3Options struct {
	Bucket    string
	Region    string
	Prefix    string         // below which the folder of each incident stands; may be empty
	Retain    time.Duration  // how long nothing can be deleted
	Endpoint  string         // of a store that is not AWS's; empty for AWS
	Roots     *x509.CertPool // nil for those of the system
	KeyID     Secret
	SecretKey Secret
	Session   Secret // token of temporary credentials; nil for none
}

// ErrNotLocked means that a store took an object and did not lock it as asked: who has the keys,
// or the bucket, can delete it.
var ErrNotLocked = errors.New("the store took the object and did not lock it")

// NewS3 checks the options. Nothing is read from the environment or from AWS's own files.
func NewS3(o S3Options) (*S3, error) {
	switch {
	case o.Bucket == "" || o.Region == "":
		return nil, errors.New("bucket and region are both needed")
	case strings.ContainsAny(o.Bucket, "/:"):
		return nil, fmt.Errorf("%q cannot be a bucket's name", o.Bucket)
	case o.Retain < 24*time.Hour:
		return nil, fmt.Errorf("retain %s is less than a day", o.Retain)
	case o.KeyID == nil || o.SecretKey == nil:
		return nil, errors.New("access_key_id and secret_access_key are both needed")
	}
	options := s3.Options{
		Region: o.Region, Credentials: aws.NewCredentialsCache(o), Retryer: aws.NopRetryer{},
		HTTPClient: &http.Client{CheckRedirect: noRedirect, Transport: &http.Transport{
			Proxy:               nil,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		}},
		DisableLogOutputChecksumValidationSkipped: true,
	}
	if o.Endpoint != "" {
		if err := CheckURL(o.Endpoint); err != nil {
			return nil, fmt.Errorf("endpoint: %w", err)
		}
		options.BaseEndpoint = aws.String(o.Endpoint)
		options.UsePathStyle = true // other stores rarely have a name for each bucket
	}
	return &S3{s3.New(options), o.Bucket, strings.Trim(o.Prefix, "/"), o.Retain}, nil
}

// keysHeld is how long credentials are used before they are read again.
const keysHeld = time.Minute

// Retrieve reads the credentials.
func (o S3Options) Retrieve(context.Context) (aws.Credentials, error) {
	c := aws.Credentials{Source: "clawback.yaml", CanExpire: true, Expires: time.Now().Add(keysHeld)}
	for _, part := range []struct {
		name string
		read Secret
		to   *string
	}{{"access_key_id", o.KeyID, &c.AccessKeyID}, {"secret_access_key", o.SecretKey, &c.SecretAccessKey}, {"session_token", o.Session, &c.SessionToken}} {
		if part.read == nil {
			continue
		}
		value, err := part.read()
		if err != nil {
			return aws.Credentials{}, fmt.Errorf("%s: %w", part.name, err)
		}
		*part.to = value
	}
	return c, nil
}

// Kind is "s3".
func (*S3) Kind() string { return "s3" }

// Send returns nil once the store holds the delivery and says that it is locked.
func (s *S3) Send(ctx context.Context, d Delivery) error {
	folder := d.Incident + "/"
	if s.prefix != "" {
		folder = s.prefix + "/" + folder
	}
	if len(d.Entries) > 0 {
		var b bytes.Buffer
		for _, e := range d.Entries {
			b.Write(e.Line())
			b.WriteByte('\n')
		}
		// Zeros, so that the store lists them in order.
		if err := s.keep(ctx, fmt.Sprintf("%sentries-%010d-%010d.jsonl", folder, d.First, d.Last), "application/jsonl", b.Bytes()); err != nil {
			return err
		}
	}
	if d.Checkpoint != nil {
		return s.keep(ctx, fmt.Sprintf("%scheckpoint-%010d", folder, d.Size), "text/plain; charset=utf-8", d.Checkpoint)
	}
	return nil
}

// keep puts one object, never in the place of another, and looks at it.
func (s *S3) keep(ctx context.Context, key, contentType string, content []byte) error {
	sum := sha256.Sum256(content)
	digest := base64.StdEncoding.EncodeToString(sum[:])
	until := time.Now().UTC().Add(s.retain).Truncate(time.Second)
	put, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(content), ContentType: &contentType,
		ChecksumSHA256: &digest, IfNoneMatch: aws.String("*"),
		ObjectLockMode: types.ObjectLockModeCompliance, ObjectLockRetainUntilDate: &until,
	})
	look := &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled}
	switch {
	case err == nil:
		look.VersionId = put.VersionId
	case status(err) == http.StatusPreconditionFailed: // an earlier try came further than its answer
		until = time.Time{}
	default:
		return refusal(ctx, "put", key, err)
	}
	head, err := s.client.HeadObject(ctx, look)
	if err != nil {
		return refusal(ctx, "look at", key, err)
	}
	if have := aws.ToString(head.ChecksumSHA256); have != digest {
		return &LaterError{fmt.Errorf("%s: the store holds other content under this name (SHA-256 %q, not %q)", key, have, digest), time.Minute}
	}
	if head.ObjectLockMode != types.ObjectLockModeCompliance || !locked(head.ObjectLockRetainUntilDate, until) {
		return &LaterError{fmt.Errorf("%w: %s: mode %q until %s, asked for COMPLIANCE: it needs a bucket that was made with Object Lock on",
			ErrNotLocked, key, head.ObjectLockMode, aws.ToTime(head.ObjectLockRetainUntilDate).Format(time.RFC3339)), time.Minute}
	}
	return nil
}

// locked reports whether a lock lasts as long as was asked for, or, when nobody knows what an
// earlier try asked for, into the future.
func locked(until *time.Time, asked time.Time) bool {
	if asked.IsZero() {
		asked = time.Now()
	}
	return until != nil && !until.Before(asked)
}

func status(err error) int {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

// refusal is an error of the store by its code: the SDK's own text repeats what the store wrote.
func refusal(ctx context.Context, did, key string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s %s: %w", did, key, cause)
	}
	code := status(err)
	var api smithy.APIError
	var operation *smithy.OperationError
	switch {
	case errors.As(err, &api):
		err = fmt.Errorf("%s %s: it answered %d %s", did, key, code, api.ErrorCode())
	case code > 0:
		err = fmt.Errorf("%s %s: it answered %d", did, key, code)
	case errors.As(err, &operation):
		err = fmt.Errorf("%s %s: %w", did, key, withoutURL(ctx, operation.Err))
	}
	if code >= 300 && code < 500 && code != http.StatusTooManyRequests && code != http.StatusRequestTimeout && code != http.StatusConflict {
		return &LaterError{err, time.Minute}
	}
	return err
}
