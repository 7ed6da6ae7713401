package record

import (
	"hyperlight/engine/model"
	"hyperlight/engine/num"
)

const accountSnapshotVersion = 1

// AppendAccountSnapshot encodes what an account was worth. Account and time are in its key.
func AppendAccountSnapshot(dst []byte, s *model.AccountSnapshot) []byte {
	dst = append(dst, accountSnapshotVersion)
	for _, v := range [...]num.USD{s.Value, s.Collateral, s.Unrealized, s.Realized, s.Funding, s.Notional} {
		dst = appendVarint(dst, int64(v))
	}
	return appendUvarint(dst, uint64(s.Positions))
}

// DecodeAccountSnapshot decodes a snapshot; Account and Time are left zero.
func DecodeAccountSnapshot(b []byte) (s model.AccountSnapshot, err error) {
	r, err := openValue(b, "account snapshot", accountSnapshotVersion)
	if err != nil {
		return s, err
	}
	for _, v := range [...]*num.USD{&s.Value, &s.Collateral, &s.Unrealized, &s.Realized, &s.Funding, &s.Notional} {
		*v = num.USD(r.varint())
	}
	s.Positions = uint32(r.uvarint())
	return s, r.end("account snapshot")
}
