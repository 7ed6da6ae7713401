package http

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"regexp"

	"github.com/valyala/fasthttp"
)

//go:embed openapi.yaml
var openapiSource []byte

// document is a file that is served as it is, with a strong validator.
type document struct {
	body []byte
	etag string
}

// documents are the OpenAPI descriptions: the written one, and the one for tools that do not know 3.1.
type documents struct{ v31, v30 document }

func newDocument(body []byte) document {
	sum := sha256.Sum256(body)
	return document{body: body, etag: `"` + hex.EncodeToString(sum[:16]) + `"`}
}

func loadDocuments(publicURL string) (documents, error) {
	source := openapiSource
	if publicURL != "" {
		source = serverURL.ReplaceAll(source, []byte("${1}"+publicURL))
	}
	older, err := deriveOpenAPI30(source)
	if err != nil {
		return documents{}, err
	}
	return documents{v31: newDocument(source), v30: newDocument(older)}, nil
}

var (
	serverURL = regexp.MustCompile(`(?m)^(  - url: ).*$`)
	version31 = regexp.MustCompile(`(?m)^openapi: 3\.1\.\d+$`)
	// A nullable type is always written on one line of its own, so that the older form can be made line by line.
	nullableType = regexp.MustCompile(`(?m)^( *)type: \[([a-z]+), "null"\]$`)
	inlineType   = regexp.MustCompile(`type: \[([a-z]+), "null"\]`)
)

// deriveOpenAPI30 writes the 3.1 description in the words of 3.0: nullable types, and nothing else differs, because the
// source keeps to what both share.
func deriveOpenAPI30(source []byte) ([]byte, error) {
	if !version31.Match(source) {
		return nil, fmt.Errorf("derive openapi 3.0: the source does not say openapi: 3.1.x")
	}
	out := version31.ReplaceAll(source, []byte("openapi: 3.0.3"))
	out = nullableType.ReplaceAll(out, []byte("${1}type: ${2}\n${1}nullable: true"))
	out = inlineType.ReplaceAll(out, []byte("type: ${1}, nullable: true"))
	if bytes.Contains(out, []byte(`"null"`)) {
		return nil, fmt.Errorf("derive openapi 3.0: a null type is not written as [type, \"null\"]")
	}
	return out, nil
}

func getOpenAPI(c *call)   { c.document(&c.server.openapi.v31) }
func getOpenAPI30(c *call) { c.document(&c.server.openapi.v30) }

// document sends a file, or 304 to a client that has it.
func (c *call) document(d *document) {
	h := &c.ctx.Response.Header
	h.Set(fasthttp.HeaderETag, d.etag)
	h.SetCanonical(headerCacheControl, []byte("no-cache"))
	if matchesETag(c.head.ifNoneMatch, d.etag) {
		c.ctx.Response.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	c.bytes(fasthttp.StatusOK, "application/yaml", d.body)
}

// matchesETag applies If-None-Match: a list of validators, weak ones too, or "*".
func matchesETag(header []byte, etag string) bool {
	for more := len(header) > 0; more; {
		var item []byte
		item, header, more = bytes.Cut(header, []byte(","))
		item = bytes.TrimPrefix(trim(item), []byte("W/"))
		if string(item) == etag || string(item) == "*" {
			return true
		}
	}
	return false
}
