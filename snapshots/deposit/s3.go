package deposit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"clawback/forensics/incident"
)

// S3 keeps each file as an object PREFIX/INCIDENT/NAME under Object Lock in compliance mode: until the
// date that it carries nobody can delete or replace it or shorten the lock, not the owner of the
// account either. https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
//
// The credentials need s3:PutObject, s3:PutObjectRetention, s3:GetObject and s3:GetObjectRetention,
// with a legal hold s3:PutObjectLegalHold and s3:GetObjectLegalHold too, and should have nothing else.
type S3 struct {
	client *s3.Client
	bucket string
	prefix string
	retain time.Duration
	part   int64 // bytes; larger files go up in parts of so many
}

// Secret reads a secret when it is needed.
type Secret func() (string, error)

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

// ErrNotLocked means that a store took an object and did not lock it as asked: who has the keys, or
// the bucket, can delete it.
var ErrNotLocked = errors.New("the store took the object and did not lock it")

const (
	// partSize is what is sent again when a connection breaks. S3 takes 5 GiB in one piece at most.
	partSize = 256 << 20
	// mostParts is how many S3 takes. https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
	mostParts = 10000
)

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
		Region: o.Region, Credentials: aws.NewCredentialsCache(o),
		Retryer: retry.NewStandard(func(r *retry.StandardOptions) { r.MaxAttempts, r.MaxBackoff = 3, 5*time.Second }),
		HTTPClient: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
				TLSClientConfig:     &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 2 * time.Minute, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
			},
		},
		DisableLogOutputChecksumValidationSkipped: true,
	}
	if o.Endpoint != "" {
		if err := checkEndpoint(o.Endpoint); err != nil {
			return nil, fmt.Errorf("endpoint: %w", err)
		}
		options.BaseEndpoint = aws.String(o.Endpoint)
		options.UsePathStyle = true // other stores rarely have a name for each bucket
	}
	return &S3{s3.New(options), o.Bucket, strings.Trim(o.Prefix, "/"), o.Retain, partSize}, nil
}

// checkEndpoint refuses a URL to which evidence must not be sent.
func checkEndpoint(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("write it as https://host[:port][/path]")
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && !(u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())) {
		return fmt.Errorf("evidence is not sent over %q: use https", u.Scheme)
	}
	return nil
}

// Retrieve reads the credentials.
func (o S3Options) Retrieve(context.Context) (aws.Credentials, error) {
	c := aws.Credentials{Source: "clawback.yaml", CanExpire: true, Expires: time.Now().Add(time.Minute)}
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

// Folder is s3://BUCKET/PREFIX/INCIDENT.
func (s *S3) Folder(incident string) string { return "s3://" + s.bucket + "/" + s.key(incident) }

func (s *S3) key(parts ...string) string {
	if s.prefix != "" {
		parts = append([]string{s.prefix}, parts...)
	}
	return strings.Join(parts, "/")
}

// Put uploads a file, unless it lies there, downloads it again and asks how it is locked.
func (s *S3) Put(ctx context.Context, name string, f File, hold bool) (incident.DepositedFile, error) {
	kept := incident.DepositedFile{Name: f.Name(), SHA256: f.SHA256, Bytes: f.Bytes}
	if err := checkIncident(name); err != nil {
		return kept, err
	}
	key := s.key(name, f.Name())
	asked := time.Now().UTC().Add(s.retain).Truncate(time.Second)
	// Keys that may list nothing get a 403 here for what is not there: then the upload tells.
	if _, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key}); err == nil {
		kept.Before = true
	}
	if !kept.Before {
		version, err := s.upload(ctx, key, f, asked, hold)
		switch {
		case err == nil:
			kept.Version = version
			kept.Proof = []string{"uploaded with a SHA-256 that the store checked, replacing nothing"}
		case status(err) == http.StatusPreconditionFailed:
			kept.Before = true
		default:
			return kept, s.refusal(ctx, "upload", key, err)
		}
	}
	if kept.Before {
		asked = time.Now() // nobody knows what the earlier run asked for
	}
	if err := s.readBack(ctx, key, f, &kept); err != nil {
		return kept, err
	}
	if err := s.isLocked(ctx, key, asked, &kept); err != nil {
		return kept, err
	}
	if hold {
		s.isHeld(ctx, key, &kept)
	}
	return kept, nil
}

// readBack downloads what the store has, the very version that was uploaded, and compares it.
func (s *S3) readBack(ctx context.Context, key string, f File, kept *incident.DepositedFile) error {
	get := &s3.GetObjectInput{Bucket: &s.bucket, Key: &key, VersionId: version(kept)}
	out, err := s.client.GetObject(ctx, get)
	if err != nil {
		return s.refusal(ctx, "read back", key, err)
	}
	defer func() { _ = out.Body.Close() }()
	if kept.Version == "" {
		kept.Version = strings.ToValidUTF8(clip(aws.ToString(out.VersionId)), "")
	}
	digest, n, err := digestOf(ctx, io.LimitReader(out.Body, f.Bytes+1))
	if err != nil {
		return s.refusal(ctx, "read back", key, err)
	}
	if err := f.is(digest, n); err != nil {
		return fmt.Errorf("%s: %w", s.where(key), err)
	}
	kept.Proof = append(kept.Proof, "downloaded again: "+digest)
	return nil
}

// isLocked asks until when nobody can delete the object. A store that does not say so is a failure; one
// that does not let us ask leaves it unproved.
func (s *S3) isLocked(ctx context.Context, key string, asked time.Time, kept *incident.DepositedFile) error {
	out, err := s.client.GetObjectRetention(ctx, &s3.GetObjectRetentionInput{Bucket: &s.bucket, Key: &key, VersionId: version(kept)})
	switch code := status(err); {
	case code == http.StatusForbidden:
		kept.Unproved = append(kept.Unproved, "that it is locked: "+s.refusal(ctx, "ask for the lock of", key, err).Error())
		return nil
	case code == http.StatusNotFound, code == http.StatusBadRequest, code == http.StatusNotImplemented: // it has none, or cannot have any
		return fmt.Errorf("%w: %s: it needs a bucket that was made with Object Lock on", ErrNotLocked, s.where(key))
	case err != nil:
		return s.refusal(ctx, "ask for the lock of", key, err)
	}
	r := out.Retention
	if r == nil || r.Mode != types.ObjectLockRetentionModeCompliance || r.RetainUntilDate == nil || r.RetainUntilDate.Before(asked) {
		return fmt.Errorf("%w: %s: asked for COMPLIANCE until %s, and it says %s", ErrNotLocked, s.where(key), asked.Format(time.RFC3339), retention(r))
	}
	kept.Until = r.RetainUntilDate.UTC()
	kept.Proof = append(kept.Proof, "the store says that it is locked in compliance mode until "+kept.Until.Format(time.RFC3339))
	return nil
}

func retention(r *types.ObjectLockRetention) string {
	if r == nil {
		return "nothing"
	}
	return fmt.Sprintf("%.20q until %s", r.Mode, aws.ToTime(r.RetainUntilDate).Format(time.RFC3339))
}

// isHeld puts what lay there before under the legal hold too, and asks whether it is.
func (s *S3) isHeld(ctx context.Context, key string, kept *incident.DepositedFile) {
	ask := func() error {
		out, err := s.client.GetObjectLegalHold(ctx, &s3.GetObjectLegalHoldInput{Bucket: &s.bucket, Key: &key, VersionId: version(kept)})
		kept.Hold = err == nil && out.LegalHold != nil && out.LegalHold.Status == types.ObjectLockLegalHoldStatusOn
		return err
	}
	err := ask()
	if !kept.Hold && kept.Before {
		_, err = s.client.PutObjectLegalHold(ctx, &s3.PutObjectLegalHoldInput{Bucket: &s.bucket, Key: &key, VersionId: version(kept),
			LegalHold: &types.ObjectLockLegalHold{Status: types.ObjectLockLegalHoldStatusOn}})
		if err == nil {
			err = ask()
		}
	}
	switch {
	case kept.Hold:
		kept.Proof = append(kept.Proof, "the store says that it is under a legal hold")
	case err != nil:
		kept.Unproved = append(kept.Unproved, "the legal hold: "+s.refusal(ctx, "hold", key, err).Error())
	default:
		kept.Unproved = append(kept.Unproved, "the legal hold: the store says that it is under none")
	}
}

func version(kept *incident.DepositedFile) *string {
	if kept.Version == "" {
		return nil
	}
	return &kept.Version
}

func (s *S3) where(key string) string { return "s3://" + s.bucket + "/" + key }

// inBase64 is a digest as S3 writes it.
func inBase64(digest string) *string {
	b, _ := hex.DecodeString(digest)
	return aws.String(base64.StdEncoding.EncodeToString(b))
}
