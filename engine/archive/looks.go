package archive

import (
	"bytes"
	"errors"
)

// frameMembers are members of recorded frames and of what recorders wrap around them; no row has any of them.
var frameMembers = map[string]bool{"channel": true, "msg": true, "frame": true, "session_id": true, "captured_at": true}

// Looks tells whether the head of a file, of which the end may be missing, is that of an archive: a CSV header with the
// columns of a dataset or nearly so, or JSON with the members of one. It is how an import tells archives from recorded frames.
func Looks(head []byte, o Options) bool {
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(head) == 0 {
		return false
	}
	switch head[0] {
	case '{':
		return looksObject(head, o, 0)
	case '[':
		first, _, done, ok := element(head[1:])
		return ok && !done && first[0] == '{' && looksObject(first, o, 0)
	}
	line, _, _ := bytes.Cut(head, []byte{'\n'})
	_, err := newTable(line, o)
	return err == nil || errors.Is(err, errHeader)
}

func looksObject(b []byte, o Options, depth int) (yes bool) {
	var has [fieldCount]bool
	frame := false
	walk(b, true, func(name string, value []byte) bool {
		if frame = frame || frameMembers[name]; frame {
			return false
		}
		if f, known := column(name); known && value[0] != '{' && value[0] != '[' {
			has[f] = true
		}
		switch _, is := lists[name]; {
		case is && value[0] == '[':
			// An empty list is an archive too, of nothing.
			i := space(value, 1)
			yes = i < len(value) && (value[i] == '{' || value[i] == ']')
		case name == "data" && value[0] == '{' && depth == 0:
			yes = looksObject(value, o, 1)
		}
		return true
	})
	if frame {
		return false
	}
	if !yes {
		_, err := detect(o, func(f field) bool { return has[f] })
		yes = err == nil
	}
	return yes
}
