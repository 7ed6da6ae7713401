package key

import "encoding/binary"

// AddressSize is the length of an owner's address.
const AddressSize = 20

// Account appends the key of what is known of an account.
func Account(dst []byte, account uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, byte(AccountState)), account)
}

// ParseAccount reads a key of Account.
func ParseAccount(k []byte) (uint64, error) {
	r := open(k, AccountState, 9)
	account := r.u64()
	return account, r.err(AccountState, 0, 0)
}

// Address appends the key of the row that leads from an owner's address to one of its accounts.
func Address(dst []byte, address [AddressSize]byte, account uint64) []byte {
	return binary.BigEndian.AppendUint64(append(append(dst, byte(Addresses)), address[:]...), account)
}

// AddressKey is a parsed key of Address.
type AddressKey struct {
	Address [AddressSize]byte
	Account uint64
}

// ParseAddress reads a key of Address.
func ParseAddress(k []byte) (AddressKey, error) {
	r := open(k, Addresses, 1+AddressSize+8)
	var a AddressKey
	r.take(a.Address[:])
	a.Account = r.u64()
	return a, r.err(Addresses, 0, 0)
}
