package http

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"

	"github.com/valyala/fasthttp"

	"hyperlight/engine/model"
)

//go:embed assets
var assets embed.FS

const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

var (
	setupTemplate = template.Must(template.ParseFS(assets, "assets/setup.html"))
	setupStyle    = loadAsset("setup", "css")
)

// asset is a file under a name that holds the hash of its content, so that it may be kept for ever.
type asset struct {
	name string
	document
}

func loadAsset(name, ending string) asset {
	body, err := assets.ReadFile("assets/" + name + "." + ending)
	if err != nil {
		panic(err) // it is embedded
	}
	sum := sha256.Sum256(body)
	return asset{name: name + "." + hex.EncodeToString(sum[:6]) + "." + ending, document: newDocument(body)}
}

// getAsset answers /assets/{file}.
func getAsset(c *call) {
	if string(c.pathParams[0]) != setupStyle.name {
		c.fail(errNoPath)
		return
	}
	c.document(&setupStyle.document)
	c.ctx.Response.Header.SetContentType("text/css; charset=utf-8")
	c.ctx.Response.Header.SetCanonical(headerCacheControl, []byte("public, max-age=31536000, immutable"))
}

// setupPage is what the page of the one-time setup link shows: the form, the first key, or that the link is void.
type setupPage struct {
	Style, Base, Token, Email, Fault, Key string
	Void                                  bool
}

// getSetup answers the setup link with a form. Whether its token is good is found out when the form is sent, so that a
// page that a chat program fetched in advance uses nothing up.
func getSetup(c *call) {
	c.page(fasthttp.StatusOK, setupPage{Token: string(c.ctx.QueryArgs().Peek("token"))})
}

// postSetup makes the operator. A form gets a page, JSON gets JSON.
func postSetup(c *call) {
	form := isForm(&c.ctx.Request)
	var token string
	var q signIn
	var err error
	if form {
		args := c.ctx.PostArgs()
		token, q.email, q.password = string(args.Peek("token")), string(args.Peek("email")), string(args.Peek("password"))
	} else {
		o := c.object()
		token, _ = o.text("token")
		q.email, _ = o.text("email")
		q.password, _ = o.text("password")
		err = o.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), signInDeadline)
	defer cancel()
	if err == nil {
		s, failed := c.server.access.Setup(ctx, token, q.email, q.password)
		if err = failed; err == nil {
			if form {
				c.page(fasthttp.StatusCreated, setupPage{Email: s.User.Email, Key: s.PlainKey})
				return
			}
			c.bytes(fasthttp.StatusCreated, contentJSON, c.appendTail(appendSession([]byte(envelopeHead), s), meta{}))
			return
		}
	}
	if !form {
		c.fail(err)
		return
	}
	e := publicError(err)
	c.fail(err) // for its log line and headers; the body is the page's
	void := e.Code == model.CodeUnauthorized || e.Code == model.CodeForbidden
	c.page(statusOf(e.Code), setupPage{Token: token, Email: q.email, Fault: e.Message, Void: void})
}

// isForm tells a form from JSON, which may come under any Content-Type.
func isForm(r *fasthttp.Request) bool {
	return bytes.HasPrefix(r.Header.ContentType(), []byte("application/x-www-form-urlencoded")) &&
		!bytes.HasPrefix(bytes.TrimLeft(r.Body(), " \t\r\n"), []byte("{"))
}

// page sends a page that can neither be framed nor load anything from elsewhere, and whose address, which may hold the
// token, goes nowhere.
func (c *call) page(status int, p setupPage) {
	p.Style, p.Base = "/assets/"+setupStyle.name, c.server.publicURL
	if p.Base == "" {
		p.Base = "http://" + string(c.ctx.Request.Header.Host())
	}
	var b bytes.Buffer
	if err := setupTemplate.Execute(&b, p); err != nil {
		c.fail(err)
		return
	}
	h := &c.ctx.Response.Header
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	c.bytes(status, "text/html; charset=utf-8", b.Bytes())
}
