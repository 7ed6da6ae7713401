package http

import (
	"bytes"
	"slices"
	"strings"
)

// maxParams is how many parameters a pattern may have.
const maxParams = 4

// router finds the routes of a path by its segments. A literal segment wins over a parameter.
type router struct{ root node }

type node struct {
	literal  []edge
	param    *node
	terminal *endpoint // nil where no pattern ends here
}

type edge struct {
	segment string
	to      *node
}

// endpoint is the routes of one pattern.
type endpoint struct {
	routes []*route
	allow  string // the Allow header: every method, HEAD and OPTIONS included
}

func newRouter(table []*route) *router {
	r := &router{}
	for _, t := range table {
		n := &r.root
		for _, segment := range strings.Split(t.pattern[1:], "/") {
			n = n.child(segment)
		}
		if n.terminal == nil {
			n.terminal = &endpoint{}
		}
		n.terminal.add(t)
	}
	return r
}

// socketRoutes returns the routes that become sockets.
func socketRoutes(table []*route) []*route {
	return slices.DeleteFunc(slices.Clone(table), func(r *route) bool { return r.auth != authSocket })
}

func (n *node) child(segment string) *node {
	if strings.HasPrefix(segment, "{") {
		if n.param == nil {
			n.param = &node{}
		}
		return n.param
	}
	for _, e := range n.literal {
		if e.segment == segment {
			return e.to
		}
	}
	to := &node{}
	n.literal = append(n.literal, edge{segment, to})
	return to
}

func (e *endpoint) add(t *route) {
	e.routes = append(e.routes, t)
	methods := []string{"OPTIONS"}
	for _, r := range e.routes {
		methods = append(methods, r.method)
		if r.method == "GET" {
			methods = append(methods, "HEAD")
		}
	}
	slices.Sort(methods)
	e.allow = strings.Join(methods, ", ")
}

// route returns the route for a method; nil where the pattern has none.
func (e *endpoint) route(method []byte) *route {
	if string(method) == "HEAD" {
		method = []byte("GET")
	}
	for _, r := range e.routes {
		if string(method) == r.method {
			return r
		}
	}
	return nil
}

// find returns the endpoint of a path, and puts the path's parameters into params. The path is fasthttp's: decoded, with
// double slashes folded.
func (r *router) find(path []byte, params *[maxParams][]byte) *endpoint {
	if len(path) < 2 || path[0] != '/' {
		return nil
	}
	n, rest, found := &r.root, path[1:], 0
walk:
	for {
		segment, more := rest, false
		if i := bytes.IndexByte(rest, '/'); i >= 0 {
			segment, rest, more = rest[:i], rest[i+1:], true
		}
		for i := range n.literal {
			if string(segment) == n.literal[i].segment {
				n = n.literal[i].to
				if more {
					continue walk
				}
				return n.terminal
			}
		}
		if n.param == nil || len(segment) == 0 || found == maxParams {
			return nil
		}
		params[found] = segment
		found++
		if n = n.param; !more {
			return n.terminal
		}
	}
}

// ownSegments are the first segments below /api/v1/ under which nothing is ever forwarded to the venue (contract 7.3);
// those of the route table belong to them too.
var ownSegments = []string{"accounts", "orderbook", "liquidation-heatmap", "exchange", "markets", "data-lake", "signals",
	"keys", "auth", "billing", "data-quality"}

// forwardable tells whether a path that no route took may be the venue's.
func forwardable(path []byte) bool {
	if s := string(path); s == "/" || s == "/info" {
		return true
	}
	rest, ok := bytes.CutPrefix(path, []byte("/api/v1/"))
	if !ok || len(rest) == 0 {
		return false
	}
	first, _, _ := bytes.Cut(rest, []byte("/"))
	return !slices.Contains(ownSegments, string(first))
}
