package sim

import "encoding/binary"

// Opcodes of RFC 6455 that the server writes itself.
const (
	opText  = 0x1
	opClose = 0x8
	opPong  = 0xA
)

// serverFrame returns a finished, unmasked frame: header and payload. It is shared by all receivers.
func serverFrame(op byte, payload []byte) []byte {
	f := make([]byte, 0, len(payload)+10)
	f = append(f, 0x80|op)
	switch n := len(payload); {
	case n < 126:
		f = append(f, byte(n))
	case n < 1<<16:
		f = append(f, 126)
		f = binary.BigEndian.AppendUint16(f, uint16(n))
	default:
		f = append(f, 127)
		f = binary.BigEndian.AppendUint64(f, uint64(n))
	}
	return append(f, payload...)
}

// closeFrame returns a close frame with a code and a reason of at most 123 bytes.
func closeFrame(code uint16, reason string) []byte {
	p := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(reason)), code)
	return serverFrame(opClose, append(p, reason...))
}
