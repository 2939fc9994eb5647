// Package s3fake is a server that answers as S3 does, as far as this program uses it: objects with
// versions, Object Lock and legal holds, conditional and checked uploads, also in parts. It knows nothing
// of who uses it, and their tests run against it and against a real store.
//
// Its answers follow the API reference: https://docs.aws.amazon.com/AmazonS3/latest/API/
package s3fake

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Object is one version of an object.
type Object struct {
	Version string
	Content []byte
	Mode    string // "", "GOVERNANCE", "COMPLIANCE"
	Until   time.Time
	Hold    bool // under a legal hold
}

// Server is an http.Handler with one bucket.
type Server struct {
	Bucket string
	KeyID  string
	// Locking is what the bucket was made with. Without it, S3 refuses a request that asks for a lock.
	Locking bool
	// Ignorant makes it a store that does not know of Object Lock and ignores what it does not know.
	Ignorant bool
	// Before is asked first, and answers instead when it returns true.
	Before func(w http.ResponseWriter, r *http.Request) bool

	mu      sync.Mutex
	objects map[string][]Object // the newest last
	puts    []string
	uploads map[string]*upload
}

// Objects returns the newest version of each object, by key.
func (s *Server) Objects() map[string]Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]Object)
	for key, versions := range s.objects {
		all[key] = versions[len(versions)-1]
	}
	return all
}

// Puts returns the keys of all uploads that were asked for, in order.
func (s *Server) Puts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.puts...)
}

const maxObject = 64 << 20

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Before != nil && s.Before(w, r) {
		return
	}
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="+s.KeyID+"/") || !strings.Contains(r.Header.Get("Authorization"), "/s3/aws4_request") {
		fail(w, http.StatusForbidden, "AccessDenied")
		return
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if bucket != s.Bucket {
		fail(w, http.StatusNotFound, "NoSuchBucket")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	switch {
	case q.Has("uploads") || q.Has("uploadId"):
		s.inParts(w, r, key)
	case q.Has("legal-hold"):
		s.legalHold(w, r, key)
	case q.Has("retention") && r.Method == http.MethodGet:
		s.getRetention(w, r, key)
	case r.Method == http.MethodPut && q.Has("retention"):
		s.putRetention(w, r, key)
	case r.Method == http.MethodPut:
		s.put(w, r, key)
	case r.Method == http.MethodHead, r.Method == http.MethodGet:
		s.get(w, r, key)
	case r.Method == http.MethodDelete:
		s.remove(w, r, key)
	default:
		fail(w, http.StatusMethodNotAllowed, "MethodNotAllowed")
	}
}

// put is PutObject.
func (s *Server) put(w http.ResponseWriter, r *http.Request, key string) {
	s.puts = append(s.puts, key)
	body, err := io.ReadAll(io.LimitReader(r.Body, maxObject))
	if err != nil {
		fail(w, http.StatusBadRequest, "IncompleteBody")
		return
	}
	sum := sha256.Sum256(body)
	given, digest := r.Header.Get("x-amz-checksum-sha256"), base64.StdEncoding.EncodeToString(sum[:])
	if given != "" && given != digest {
		fail(w, http.StatusBadRequest, "BadDigest")
		return
	}
	o, ok := s.asked(w, r, given != "" || r.Header.Get("Content-MD5") != "")
	if !ok {
		return
	}
	o.Content = body
	if s.add(w, r, key, o) {
		w.Header().Set("ETag", fmt.Sprintf("%q", digest[:16]))
		w.Header().Set("x-amz-checksum-sha256", digest)
	}
}

// asked is an object without its content, locked as a request asks. A lock wants a checksum.
func (s *Server) asked(w http.ResponseWriter, r *http.Request, checked bool) (o Object, ok bool) {
	o.Mode = r.Header.Get("x-amz-object-lock-mode")
	o.Hold = r.Header.Get("x-amz-object-lock-legal-hold") == "ON"
	until := r.Header.Get("x-amz-object-lock-retain-until-date")
	switch {
	case s.Ignorant:
		return Object{}, true
	case (o.Mode != "" || o.Hold) && !s.Locking, (o.Mode == "") != (until == ""), o.Mode != "" && !checked:
		fail(w, http.StatusBadRequest, "InvalidRequest")
		return o, false
	case o.Mode != "":
		var err error
		if o.Until, err = time.Parse(time.RFC3339, until); err != nil || !o.Until.After(time.Now()) {
			fail(w, http.StatusBadRequest, "InvalidArgument")
			return o, false
		}
	}
	return o, true
}

// add adds a version, unless the request wants there to be none.
func (s *Server) add(w http.ResponseWriter, r *http.Request, key string, o Object) bool {
	if r.Header.Get("If-None-Match") == "*" && len(s.objects[key]) > 0 {
		fail(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return false
	}
	if s.objects == nil {
		s.objects = make(map[string][]Object)
	}
	if !s.Locking {
		s.objects[key] = []Object{o}
		return true
	}
	o.Version = fmt.Sprintf("v%d", len(s.puts))
	w.Header().Set("x-amz-version-id", o.Version)
	s.objects[key] = append(s.objects[key], o)
	return true
}

// find returns the version that a request names, or the newest.
func (s *Server) find(r *http.Request, key string) *Object {
	versions := s.objects[key]
	id := r.URL.Query().Get("versionId")
	for i := range versions {
		if id == versions[i].Version || id == "" && i == len(versions)-1 {
			return &versions[i]
		}
	}
	return nil
}

// get is HeadObject and GetObject.
func (s *Server) get(w http.ResponseWriter, r *http.Request, key string) {
	o := s.find(r, key)
	if o == nil {
		fail(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	h := w.Header()
	if r.Header.Get("x-amz-checksum-mode") == "ENABLED" {
		sum := sha256.Sum256(o.Content)
		h.Set("x-amz-checksum-sha256", base64.StdEncoding.EncodeToString(sum[:]))
		h.Set("x-amz-checksum-type", "FULL_OBJECT")
	}
	if o.Mode != "" {
		h.Set("x-amz-object-lock-mode", o.Mode)
		h.Set("x-amz-object-lock-retain-until-date", o.Until.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	if o.Version != "" {
		h.Set("x-amz-version-id", o.Version)
	}
	h.Set("Content-Length", fmt.Sprint(len(o.Content)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(o.Content)
	}
}

// putRetention is PutObjectRetention: in compliance mode a lock only ever grows.
func (s *Server) putRetention(w http.ResponseWriter, r *http.Request, key string) {
	var asked struct {
		Mode            string
		RetainUntilDate time.Time
	}
	o := s.find(r, key)
	err := xml.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&asked)
	switch {
	case o == nil:
		fail(w, http.StatusNotFound, "NoSuchKey")
	case err != nil || !s.Locking:
		fail(w, http.StatusBadRequest, "InvalidRequest")
	case o.Mode == "COMPLIANCE" && o.Until.After(time.Now()) && (asked.Mode != o.Mode || asked.RetainUntilDate.Before(o.Until)):
		fail(w, http.StatusForbidden, "AccessDenied")
	default:
		o.Mode, o.Until = asked.Mode, asked.RetainUntilDate
	}
}

// remove is DeleteObject of a version. Without a version S3 hides an object and deletes nothing.
func (s *Server) remove(w http.ResponseWriter, r *http.Request, key string) {
	o := s.find(r, key)
	switch {
	case o == nil:
	case s.Locking && r.URL.Query().Get("versionId") == "":
		w.Header().Set("x-amz-delete-marker", "true")
	case o.Hold || o.Mode == "COMPLIANCE" && o.Until.After(time.Now()):
		fail(w, http.StatusForbidden, "AccessDenied")
		return
	default:
		delete(s.objects, key)
	}
	w.WriteHeader(http.StatusNoContent)
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, code)
}
