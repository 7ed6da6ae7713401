package signal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const (
	// maxNumber is the longest text of a value.
	maxNumber = 64
	// maxExponent is the most digits of an exponent: it bounds the arithmetic, not what is accepted.
	maxExponent = 4
)

// ParseRule reads a rule_definition. path is what it is called in errors, which are *model.Error and name the member in
// details.field. Members are read by their exact names; unknown ones are ignored, as in every other body, and one that is
// named twice is refused.
func ParseRule(raw []byte, path string) (Rule, error) {
	rule, err := members(raw, path)
	if err != nil {
		return Rule{}, err
	}
	var r Rule
	if r.Any, err = parseLogic(rule["logic"], path+".logic"); err != nil {
		return Rule{}, err
	}
	path += ".conditions"
	var list []json.RawMessage
	if raw := rule["conditions"]; !given(raw) || json.Unmarshal(raw, &list) != nil || len(list) == 0 || len(list) > MaxConditions {
		return Rule{}, model.BadRequest(path, fmt.Sprintf("%s must be a list of 1 to %d conditions", path, MaxConditions))
	}
	for i, raw := range list {
		c, err := parseCondition(raw, fmt.Sprintf("%s[%d]", path, i))
		if err != nil {
			return Rule{}, err
		}
		r.Conditions = append(r.Conditions, c)
	}
	return r, nil
}

func parseLogic(raw json.RawMessage, path string) (anyOf bool, err error) {
	if !given(raw) {
		return false, nil
	}
	word, _ := text(raw)
	switch strings.ToUpper(word) {
	case "AND":
		return false, nil
	case "OR":
		return true, nil
	}
	return false, model.BadRequest(path, path+" must be AND or OR")
}

func parseCondition(raw json.RawMessage, path string) (c Condition, err error) {
	condition, err := members(raw, path)
	if err != nil {
		return Condition{}, err
	}
	var ok bool
	name, _ := text(condition["field"])
	if c.Field, ok = ParseField(name); !ok {
		return Condition{}, model.BadRequest(path+".field", path+".field must be one of "+strings.Join(fieldNames[:], ", "))
	}
	name, _ = text(condition["op"])
	if c.Op, ok = ParseOp(name); !ok {
		return Condition{}, model.BadRequest(path+".op", path+".op must be one of "+strings.Join(opNames[:], ", "))
	}
	value := string(condition["value"])
	if s, quoted := text(condition["value"]); quoted {
		value, c.Quoted = s, true
	}
	if c.Value, ok = parseValue(value); !ok {
		return Condition{}, model.BadRequest(path+".value",
			path+".value must be a decimal number of at most 18 digits, as a number or a string")
	}
	return c, nil
}

// members takes a JSON object apart.
func members(raw []byte, path string) (map[string]json.RawMessage, error) {
	invalid := model.BadRequest(path, path+" must be an object")
	d := json.NewDecoder(bytes.NewReader(raw))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, invalid
	}
	out := map[string]json.RawMessage{}
	for d.More() {
		part, err := d.Token()
		name, ok := part.(string)
		if err != nil || !ok {
			return nil, invalid
		}
		if _, twice := out[name]; twice {
			return nil, model.BadRequest(path, path+" must not name a member twice")
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil, invalid
		}
		out[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, invalid
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid
	}
	return out, nil
}

// given tells whether a member is there; null counts as not given.
func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// text reads a JSON string.
func text(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// parseValue reads a decimal with or without an exponent, exactly. Zeros at the end behind the point are kept as far as a
// Decimal has room; a number that needs more digits than it has is refused.
func parseValue(s string) (num.Decimal, bool) {
	if len(s) > maxNumber {
		return num.Decimal{}, false
	}
	mantissa, exponent, ok := cutExponent(s)
	if !ok {
		return num.Decimal{}, false
	}
	mantissa, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, point := strings.Cut(mantissa, ".")
	if whole == "" || point && fraction == "" || !digitsOnly(whole) || !digitsOnly(fraction) {
		return num.Decimal{}, false
	}
	digits := strings.TrimLeft(whole+fraction, "0")
	scale := len(fraction) - exponent
	if digits == "" {
		return num.Decimal{Scale: uint8(min(len(fraction), num.MaxScale))}, true
	}
	for scale > num.MaxScale && digits[len(digits)-1] == '0' {
		digits, scale = digits[:len(digits)-1], scale-1
	}
	if scale > num.MaxScale || scale < -num.MaxScale {
		return num.Decimal{}, false
	}
	if scale < 0 {
		digits, scale = digits+strings.Repeat("0", -scale), 0
	}
	if negative {
		digits = "-" + digits
	}
	for {
		mant, err := strconv.ParseInt(digits, 10, 64)
		if err == nil {
			return num.Decimal{Mant: mant, Scale: uint8(scale)}, true
		}
		if scale == 0 || digits[len(digits)-1] != '0' {
			return num.Decimal{}, false
		}
		digits, scale = digits[:len(digits)-1], scale-1
	}
}

// cutExponent splits 1.5e-3 into 1.5 and -3.
func cutExponent(s string) (mantissa string, exponent int, ok bool) {
	i := strings.IndexAny(s, "eE")
	if i < 0 {
		return s, 0, true
	}
	power := s[i+1:]
	unsigned := strings.TrimLeft(power, "+-")
	if len(power)-len(unsigned) > 1 || unsigned == "" || len(unsigned) > maxExponent || !digitsOnly(unsigned) {
		return "", 0, false
	}
	exponent, err := strconv.Atoi(power)
	return s[:i], exponent, err == nil
}

func digitsOnly(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
