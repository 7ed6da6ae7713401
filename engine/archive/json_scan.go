package archive

import "encoding/json"

// The scanner walks over JSON text without copying it. It balances brackets and finds the ends of strings; what a value
// says is judged by whoever reads it.

// maxDepth bounds how deep a document may nest.
const maxDepth = 32

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// stringEnd returns the index behind the string that begins at i.
func stringEnd(b []byte, i int) (int, bool) {
	for j := i + 1; j < len(b); j++ {
		switch b[j] {
		case '\\':
			j++
		case '"':
			return j + 1, true
		}
	}
	return 0, false
}

// valueEnd returns the index behind the value at i.
func valueEnd(b []byte, i int) (int, bool) {
	if i >= len(b) {
		return 0, false
	}
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		depth := 0
		for j := i; j < len(b); j++ {
			switch b[j] {
			case '"':
				end, ok := stringEnd(b, j)
				if !ok {
					return 0, false
				}
				j = end - 1
			case '{', '[':
				if depth++; depth > maxDepth {
					return 0, false
				}
			case '}', ']':
				if depth--; depth == 0 {
					return j + 1, true
				}
			}
		}
		return 0, false
	}
	j := i
	for j < len(b) && b[j] != ',' && b[j] != '}' && b[j] != ']' && b[j] != ' ' && b[j] != '\t' && b[j] != '\r' && b[j] != '\n' {
		j++
	}
	return j, j > i
}

// members calls fn with the name and the raw value of each member of the object b. It returns false where b is no whole
// object, or fn does.
func members(b []byte, fn func(name string, value []byte) bool) bool { return walk(b, false, fn) }

// walk is members. With partial the end of b may be missing: fn then gets of the last value what there is.
func walk(b []byte, partial bool, fn func(name string, value []byte) bool) bool {
	i := space(b, 0)
	if i >= len(b) || b[i] != '{' {
		return false
	}
	if i = space(b, i+1); i < len(b) && b[i] == '}' {
		return space(b, i+1) == len(b)
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return false
		}
		end, ok := stringEnd(b, i)
		if !ok {
			return false
		}
		name := b[i+1 : end-1]
		if i = space(b, end); i >= len(b) || b[i] != ':' {
			return false
		}
		i = space(b, i+1)
		if end, ok = valueEnd(b, i); !ok {
			if partial && i < len(b) {
				fn(string(name), b[i:])
			}
			return false
		}
		if !fn(string(name), b[i:end]) {
			return false
		}
		if i = space(b, end); i >= len(b) {
			return false
		}
		switch b[i] {
		case ',':
			i = space(b, i+1)
		case '}':
			return space(b, i+1) == len(b)
		default:
			return false
		}
	}
}

// element returns the value at the head of the rest of an array, behind its '[' or a ',', and what follows it. done says
// that the array has ended.
func element(b []byte) (value, rest []byte, done, ok bool) {
	i := space(b, 0)
	if i < len(b) && b[i] == ']' {
		return nil, b[i+1:], true, true
	}
	end, ok := valueEnd(b, i)
	if !ok {
		return nil, nil, false, false
	}
	next := space(b, end)
	if next >= len(b) {
		return nil, nil, false, false
	}
	switch b[next] {
	case ',':
		return b[i:end], b[next+1:], false, true
	case ']':
		return b[i:end], b[next:], false, true
	}
	return nil, nil, false, false
}

// textOf returns what a JSON string or number says.
func textOf(value []byte) []byte {
	if len(value) < 2 || value[0] != '"' {
		return value
	}
	for _, c := range value {
		if c == '\\' {
			var s string
			if json.Unmarshal(value, &s) != nil {
				return value
			}
			return []byte(s)
		}
	}
	return value[1 : len(value)-1]
}
