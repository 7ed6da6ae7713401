package export

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"hyperlight/config"
	"hyperlight/engine/lake"
)

const (
	// s3Part is what a file is sent in parts of; two of them travel at once. They are read from the file as they are sent, so
	// no part is held in memory.
	s3Part    = 16 << 20
	s3Threads = 2
	// s3Attempts is how often a call is tried before it has failed.
	s3Attempts = 4
	// s3Slowest is the speed, in bytes a second, below which sending counts as stuck.
	s3Slowest = 64 << 10
	// s3LongestLink is what stores allow at most.
	s3LongestLink = 7 * 24 * time.Hour
	// s3Region is what requests are signed for where no region is named, as most stores other than Amazon's expect.
	s3Region = "us-east-1"
	// s3SHA256 is the name of the metadata that tells which version of a file an object is.
	s3SHA256 = "Sha256"
)

var (
	s3Uploads  = metrics.NewCounter(`hyperlight_lake_uploads_total{outcome="done"}`)
	s3Known    = metrics.NewCounter(`hyperlight_lake_uploads_total{outcome="there"}`)
	s3Failures = metrics.NewCounter(`hyperlight_lake_uploads_total{outcome="failed"}`)
	s3Bytes    = metrics.NewCounter("hyperlight_lake_uploaded_bytes_total")
)

// S3 is an S3-compatible object store. It may be used from any goroutine. None of its errors holds credentials, links or
// what the store said in its own words.
type S3 struct {
	client *minio.Client
	name   string
	bucket string
	prefix string
	log    *slog.Logger
	now    func() time.Time
	first  time.Duration // before the second attempt; each further wait is twice as long
}

// NewS3 returns the store that the settings describe. It asks the store nothing: Check does.
func NewS3(c config.S3, now func() time.Time, log *slog.Logger) (*S3, error) {
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "https" && endpoint.Scheme != "http" ||
		endpoint.User != nil || strings.Trim(endpoint.Path, "/") != "" || endpoint.RawQuery != "" {
		return nil, errors.New("open object store: the endpoint must be https:// and a host, with a port where it needs one")
	}
	if c.Bucket == "" || c.AccessKey == "" || c.SecretKey == "" {
		return nil, errors.New("open object store: bucket, access key and secret key are required")
	}
	if s3utils.CheckValidBucketNameStrict(c.Bucket) != nil {
		return nil, errors.New("open object store: the bucket's name must have 3 to 63 lower-case letters, digits, dashes and dots")
	}
	prefix := strings.TrimRight(c.Prefix, "/")
	if prefix != "" {
		prefix += "/" // tables name the objects by a directory
	}
	place := sha256.Sum256([]byte(strings.ToLower(endpoint.Host) + "\n" + c.Bucket + "\n" + prefix))
	s := &S3{name: hex.EncodeToString(place[:8]), bucket: c.Bucket, prefix: prefix, log: log, now: now, first: time.Second}
	lookup := minio.BucketLookupDNS
	if c.PathStyle {
		lookup = minio.BucketLookupPath
	}
	region := c.Region
	if region == "" {
		region = s3Region
	}
	s.client, err = minio.New(endpoint.Host, &minio.Options{
		Creds:        credentials.NewStaticV4(c.AccessKey, string(c.SecretKey), ""),
		Secure:       endpoint.Scheme == "https",
		Transport:    newS3Transport(),
		Region:       region, // without it each link would cost a question to the store
		BucketLookup: lookup,
		MaxRetries:   1, // retry does it
	})
	if err != nil {
		return nil, fmt.Errorf("open object store: %w", storeError(err))
	}
	return s, nil
}

// newS3Transport returns connections of our own: the library's defaults wait for ever in places.
func newS3Transport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   2 * s3Threads,
		DisableCompression:    true, // what is stored must come back as it is
	}
}

// Name tells one place of objects from another: a store, a bucket and a prefix. It is a digest, so that it may stand anywhere.
func (s *S3) Name() string { return s.name }

// Check tells whether the bucket is there and the credentials are good for it.
func (s *S3) Check(ctx context.Context) error {
	return s.retry(ctx, "look for the bucket", time.Minute, func(ctx context.Context) error {
		ok, err := s.client.BucketExists(ctx, s.bucket)
		if err == nil && !ok {
			err = errS3Bucket
		}
		return err
	})
}

// Put implements Remote. An object that is this version of the file already is left alone, so that a call may be repeated. A
// file whose content is not the listed one any more is refused: the caller has a newer version to send. One without a SHA-256
// is sent as it is.
func (s *S3) Put(ctx context.Context, key, localPath string, f lake.File) error {
	err := s.put(ctx, key, localPath, f)
	if err != nil {
		s3Failures.Inc()
	}
	return err
}

func (s *S3) put(ctx context.Context, key, localPath string, f lake.File) error {
	file, err := os.Open(localPath)
	if err != nil {
		return fmt.Errorf("open a file to upload: %w", err)
	}
	defer file.Close() // it was only read
	options := minio.PutObjectOptions{ContentType: mediaType(key), PartSize: s3Part, NumThreads: s3Threads}
	size, err := s.checkVersion(file, f)
	if err != nil {
		return err
	}
	versioned := f.SHA256 != [sha256.Size]byte{}
	if versioned {
		options.UserMetadata = map[string]string{s3SHA256: hex.EncodeToString(f.SHA256[:]), "Rows": strconv.FormatInt(f.Rows, 10),
			"Schema-Version": strconv.Itoa(f.SchemaVersion)}
	}
	timeout := time.Minute + time.Duration(size/s3Slowest)*time.Second
	return s.retry(ctx, "upload a file", timeout, func(ctx context.Context) error {
		if versioned {
			if there, err := s.has(ctx, key, size, options.UserMetadata[s3SHA256]); err != nil || there {
				return err
			}
		}
		// The parts are read with ReadAt, so that another attempt begins at the start.
		if _, err := s.client.PutObject(ctx, s.bucket, s.prefix+key, io.NewSectionReader(file, 0, size), size, options); err != nil {
			return err
		}
		s3Uploads.Inc()
		s3Bytes.AddInt64(size)
		return nil
	})
}

// checkVersion returns the size of a file, if its content is what is listed.
func (s *S3) checkVersion(file *os.File, f lake.File) (int64, error) {
	st, err := file.Stat()
	if err != nil {
		return 0, fmt.Errorf("look at a file to upload: %w", err)
	}
	if f.SHA256 == ([sha256.Size]byte{}) {
		return st.Size(), nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return 0, fmt.Errorf("read a file to upload: %w", err)
	}
	if [sha256.Size]byte(h.Sum(nil)) != f.SHA256 || st.Size() != f.Bytes {
		return 0, ErrStale
	}
	return st.Size(), nil
}

// has tells whether the object of a key is of a size and version. Credentials that may write but not list get no answer where there
// is no object (403, not 404): whether they are good is then told by the upload.
func (s *S3) has(ctx context.Context, key string, size int64, version string) (bool, error) {
	o, err := s.client.StatObject(ctx, s.bucket, s.prefix+key, minio.StatObjectOptions{})
	if err != nil {
		if e := minio.ToErrorResponse(err); e.Code == minio.NoSuchKey || e.StatusCode == http.StatusForbidden {
			return false, nil
		}
		return false, err
	}
	there := o.Size == size && o.UserMetadata[s3SHA256] == version
	if there {
		s3Known.Inc()
	}
	return there, nil
}

// Delete implements Remote.
func (s *S3) Delete(ctx context.Context, key string) error {
	return s.retry(ctx, "delete an object", time.Minute, func(ctx context.Context) error {
		err := s.client.RemoveObject(ctx, s.bucket, s.prefix+key, minio.RemoveObjectOptions{})
		if e := minio.ToErrorResponse(err); e.Code == minio.NoSuchKey {
			return nil
		}
		return err
	})
}

// Link implements Remote. It asks the store nothing, so it does not tell whether there is such an object. A lifetime is cut to
// what stores allow: between a second and seven days.
func (s *S3) Link(ctx context.Context, key, filename string, lifetime time.Duration) (string, time.Time, error) {
	lifetime = min(max(lifetime.Truncate(time.Second), time.Second), s3LongestLink)
	expires := s.now().Add(lifetime).Truncate(time.Second)
	u, err := s.client.PresignedGetObject(ctx, s.bucket, s.prefix+key, lifetime,
		url.Values{"response-content-disposition": {`attachment; filename="` + filename + `"`}})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign a link: %w", storeError(err))
	}
	return u.String(), expires, nil
}

// mediaType returns the Content-Type of the object of a key.
func mediaType(key string) string {
	switch path.Ext(key) {
	case ".parquet":
		return "application/vnd.apache.parquet"
	case ".json":
		return "application/json"
	case ".csv":
		return "text/csv; charset=utf-8"
	case ".avro":
		return "application/avro"
	case ".text":
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}
