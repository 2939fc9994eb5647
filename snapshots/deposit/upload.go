package deposit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// upload makes an object, unless there is one of that key, and returns its version. No more of the file
// is in memory than a buffer.
func (s *S3) upload(ctx context.Context, key string, f File, until time.Time, hold bool) (string, error) {
	in, err := f.open()
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }()
	if f.Bytes > s.part {
		return s.inParts(ctx, key, in, f, until, hold)
	}
	out, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: in, ContentLength: &f.Bytes, ContentType: aws.String(contentType), ChecksumSHA256: inBase64(f.SHA256),
		IfNoneMatch: aws.String("*"), ObjectLockMode: types.ObjectLockModeCompliance, ObjectLockRetainUntilDate: &until, ObjectLockLegalHoldStatus: held(hold),
	})
	if err != nil {
		return "", err
	}
	return clip(aws.ToString(out.VersionId)), nil
}

const contentType = "application/octet-stream"

func held(hold bool) types.ObjectLockLegalHoldStatus {
	if hold {
		return types.ObjectLockLegalHoldStatusOn
	}
	return "" // not OFF, which needs the right to set it
}

// inParts uploads a large file in parts, each with its own SHA-256, so that a broken connection costs
// one of them.
func (s *S3) inParts(ctx context.Context, key string, in *os.File, f File, until time.Time, hold bool) (_ string, err error) {
	begun, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &s.bucket, Key: &key, ContentType: aws.String(contentType), ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		ObjectLockMode: types.ObjectLockModeCompliance, ObjectLockRetainUntilDate: &until, ObjectLockLegalHoldStatus: held(hold),
	})
	if err != nil {
		return "", err
	}
	defer func() {
		if err == nil {
			return
		}
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_, _ = s.client.AbortMultipartUpload(clean, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: &key, UploadId: begun.UploadId})
	}()
	var parts []types.CompletedPart
	each := max(s.part, (f.Bytes+mostParts-1)/mostParts)
	for at := int64(0); at < f.Bytes; at += each {
		number := int32(len(parts) + 1)
		part := io.NewSectionReader(in, at, min(each, f.Bytes-at))
		digest, _, err := digestOf(ctx, part)
		if err == nil {
			_, err = part.Seek(0, io.SeekStart)
		}
		if err != nil {
			return "", err
		}
		out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &s.bucket, Key: &key, UploadId: begun.UploadId, PartNumber: &number, Body: part, ContentLength: aws.Int64(part.Size()), ChecksumSHA256: inBase64(digest),
		})
		if err != nil {
			return "", err
		}
		parts = append(parts, types.CompletedPart{ETag: out.ETag, PartNumber: &number, ChecksumSHA256: inBase64(digest)})
	}
	out, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &s.bucket, Key: &key, UploadId: begun.UploadId, IfNoneMatch: aws.String("*"), MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if err != nil {
		return "", err
	}
	return clip(aws.ToString(out.VersionId)), nil
}

// clip bounds what a store says.
func clip(text string) string { return text[:min(len(text), 1024)] }

func status(err error) int {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

// refusal is an error of the store by its code: the SDK's own text repeats what the store wrote.
func (s *S3) refusal(ctx context.Context, did, key string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s %s: %w", did, s.where(key), cause)
	}
	code := status(err)
	var api smithy.APIError
	var operation *smithy.OperationError
	var failed *url.Error
	switch {
	case errors.As(err, &api) && code > 0:
		return fmt.Errorf("%s %s: it answered %d %.40q%s", did, s.where(key), code, api.ErrorCode(), about(code, api.ErrorCode()))
	case code > 0:
		return fmt.Errorf("%s %s: it answered %d", did, s.where(key), code)
	case errors.As(err, &failed): // without its URL, which holds nothing that the key does not
		return fmt.Errorf("%s %s: %w", did, s.where(key), failed.Err)
	case errors.As(err, &operation):
		return fmt.Errorf("%s %s: %w", did, s.where(key), operation.Err)
	}
	return fmt.Errorf("%s %s: %w", did, s.where(key), err)
}

// about says what the answers mean that do not say so themselves.
func about(code int, word string) string {
	switch {
	case word == "InvalidRequest" && code == http.StatusBadRequest:
		return " (a bucket that was made without Object Lock answers so)"
	case code == http.StatusForbidden:
		return " (the keys may not do that)"
	}
	return ""
}
