package s3fake

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// upload is an object that arrives in parts.
type upload struct {
	key   string
	is    Object
	parts map[int][]byte
}

// Uploads is how many uploads in parts were begun and neither completed nor given up.
func (s *Server) Uploads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.uploads)
}

// inParts is CreateMultipartUpload, UploadPart, CompleteMultipartUpload and AbortMultipartUpload.
func (s *Server) inParts(w http.ResponseWriter, r *http.Request, key string) {
	id := r.URL.Query().Get("uploadId")
	up := s.uploads[id]
	switch {
	case r.Method == http.MethodPost && id == "":
		s.begin(w, r, key)
	case up == nil || up.key != key:
		fail(w, http.StatusNotFound, "NoSuchUpload")
	case r.Method == http.MethodPut:
		up.add(w, r)
	case r.Method == http.MethodPost:
		s.complete(w, r, id, up)
	case r.Method == http.MethodDelete:
		delete(s.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	default:
		fail(w, http.StatusMethodNotAllowed, "MethodNotAllowed")
	}
}

func (s *Server) begin(w http.ResponseWriter, r *http.Request, key string) {
	s.puts = append(s.puts, key)
	o, ok := s.asked(w, r, r.Header.Get("x-amz-checksum-algorithm") != "")
	if !ok {
		return
	}
	if s.uploads == nil {
		s.uploads = make(map[string]*upload)
	}
	id := fmt.Sprintf("u%d", len(s.puts))
	s.uploads[id] = &upload{key, o, make(map[int][]byte)}
	fmt.Fprintf(w, "<InitiateMultipartUploadResult><Bucket>%s</Bucket><UploadId>%s</UploadId></InitiateMultipartUploadResult>", s.Bucket, id)
}

func (u *upload) add(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxObject))
	n, numErr := strconv.Atoi(r.URL.Query().Get("partNumber"))
	sum := sha256.Sum256(body)
	digest := base64.StdEncoding.EncodeToString(sum[:])
	if err != nil || numErr != nil || n < 1 || r.Header.Get("x-amz-checksum-sha256") != digest {
		fail(w, http.StatusBadRequest, "BadDigest")
		return
	}
	u.parts[n] = body
	w.Header().Set("ETag", fmt.Sprintf("%q", digest[:16]))
	w.Header().Set("x-amz-checksum-sha256", digest)
}

func (s *Server) complete(w http.ResponseWriter, r *http.Request, id string, up *upload) {
	var list struct {
		Part []struct {
			PartNumber     int
			ChecksumSHA256 string
		}
	}
	if err := xml.NewDecoder(io.LimitReader(r.Body, 4<<20)).Decode(&list); err != nil || len(list.Part) == 0 {
		fail(w, http.StatusBadRequest, "MalformedXML")
		return
	}
	o := up.is
	for i, part := range list.Part {
		content, ok := up.parts[part.PartNumber]
		sum := sha256.Sum256(content)
		if !ok || part.PartNumber != i+1 || part.ChecksumSHA256 != base64.StdEncoding.EncodeToString(sum[:]) {
			fail(w, http.StatusBadRequest, "InvalidPart")
			return
		}
		o.Content = append(o.Content, content...)
	}
	if s.add(w, r, up.key, o) {
		delete(s.uploads, id)
		fmt.Fprintf(w, "<CompleteMultipartUploadResult><Bucket>%s</Bucket><ETag>x</ETag></CompleteMultipartUploadResult>", s.Bucket)
	}
}

// getRetention is GetObjectRetention.
func (s *Server) getRetention(w http.ResponseWriter, r *http.Request, key string) {
	o := s.find(r, key)
	switch {
	case o == nil:
		fail(w, http.StatusNotFound, "NoSuchKey")
	case !s.Locking || s.Ignorant:
		fail(w, http.StatusBadRequest, "InvalidRequest")
	case o.Mode == "":
		fail(w, http.StatusNotFound, "NoSuchObjectLockConfiguration")
	default:
		fmt.Fprintf(w, "<Retention><Mode>%s</Mode><RetainUntilDate>%s</RetainUntilDate></Retention>", o.Mode, o.Until.UTC().Format(time.RFC3339))
	}
}

// legalHold is PutObjectLegalHold and GetObjectLegalHold.
func (s *Server) legalHold(w http.ResponseWriter, r *http.Request, key string) {
	o := s.find(r, key)
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	switch {
	case err != nil || o == nil:
		fail(w, http.StatusNotFound, "NoSuchKey")
	case !s.Locking || s.Ignorant:
		fail(w, http.StatusBadRequest, "InvalidRequest")
	case r.Method == http.MethodPut:
		o.Hold = bytes.Contains(body, []byte("<Status>ON</Status>"))
	case !o.Hold:
		fmt.Fprint(w, "<LegalHold><Status>OFF</Status></LegalHold>")
	default:
		fmt.Fprint(w, "<LegalHold><Status>ON</Status></LegalHold>")
	}
}
