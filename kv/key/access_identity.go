package key

// IDSize and HashSize are the lengths of a user's or key's id and of a SHA-256 in keys.
const (
	IDSize   = 16
	HashSize = 32
)

// User appends the key of a user.
func User(dst []byte, user [IDSize]byte) []byte { return append(append(dst, byte(Users)), user[:]...) }

// Email appends the key of the row that leads from an e-mail address, by its hash, to a user.
func Email(dst []byte, hash [HashSize]byte) []byte {
	return append(append(dst, byte(Emails)), hash[:]...)
}

// APIKey appends the key of an API key; the keys of a user stand together.
func APIKey(dst []byte, user, id [IDSize]byte) []byte {
	return append(append(append(dst, byte(APIKeys)), user[:]...), id[:]...)
}

// APIKeysOf returns the range of the API keys of a user.
func APIKeysOf(user [IDSize]byte) Range {
	var last [IDSize]byte
	for i := range last {
		last[i] = 0xff
	}
	return Range{Start: APIKey(nil, user, [IDSize]byte{}), End: append(APIKey(nil, user, last), 0)}
}

// KeyHash appends the key of the row that leads from the hash of an API key to the key.
func KeyHash(dst []byte, hash [HashSize]byte) []byte {
	return append(append(dst, byte(KeyHashes)), hash[:]...)
}

// APIKeyKey is what the key of an API key says.
type APIKeyKey struct{ User, ID [IDSize]byte }

func (r *reader) take(dst []byte) {
	if !r.bad {
		r.b = r.b[copy(dst, r.b):]
	}
}

// ParseUser takes the key of a user apart.
func ParseUser(k []byte) (user [IDSize]byte, err error) {
	r := open(k, Users, 1+IDSize)
	r.take(user[:])
	return user, r.err(Users, 0, 0)
}

// ParseEmail takes the key of an e-mail address's row apart.
func ParseEmail(k []byte) (hash [HashSize]byte, err error) {
	r := open(k, Emails, 1+HashSize)
	r.take(hash[:])
	return hash, r.err(Emails, 0, 0)
}

// ParseAPIKey takes the key of an API key apart.
func ParseAPIKey(k []byte) (a APIKeyKey, err error) {
	r := open(k, APIKeys, 1+2*IDSize)
	r.take(a.User[:])
	r.take(a.ID[:])
	return a, r.err(APIKeys, 0, 0)
}

// ParseKeyHash takes the key of an API key's hash apart.
func ParseKeyHash(k []byte) (hash [HashSize]byte, err error) {
	r := open(k, KeyHashes, 1+HashSize)
	r.take(hash[:])
	return hash, r.err(KeyHashes, 0, 0)
}
