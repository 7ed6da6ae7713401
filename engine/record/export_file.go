package record

import "hyperlight/engine/model"

// exportFileVersion is what rows are written in. Those of version 1 say only that some object store has the file, not which one.
const exportFileVersion = 2

// ExportFile is what the list of the data lake's files says of one. Dataset, day and market are in its key.
type ExportFile struct {
	Symbol        string // of its market; "" for a file of all
	Rows, Bytes   int64
	SHA256        [32]byte
	SchemaVersion int
	Created       model.Millis
	Source        [32]byte // digest of what it was made of
	Store         string   // name of the object store that has it; "": none, or nobody knows which
}

// AppendExportFile encodes a row of the list.
func AppendExportFile(dst []byte, f *ExportFile) []byte {
	dst = appendString(append(dst, exportFileVersion), f.Symbol)
	dst = appendUvarint(appendUvarint(dst, uint64(f.Rows)), uint64(f.Bytes))
	dst = append(append(dst, f.SHA256[:]...), f.Source[:]...)
	dst = appendVarint(appendUvarint(dst, uint64(f.SchemaVersion)), int64(f.Created))
	return appendString(dst, f.Store)
}

// DecodeExportFile decodes a row of the list.
func DecodeExportFile(b []byte) (f ExportFile, err error) {
	version := byte(exportFileVersion)
	if len(b) > 0 && b[0] == 1 {
		version = 1
	}
	r, err := openValue(b, "export file", version)
	if err != nil {
		return f, err
	}
	f.Symbol = r.string()
	f.Rows, f.Bytes = int64(r.uvarint()), int64(r.uvarint())
	copy(f.SHA256[:], r.bytes(32))
	copy(f.Source[:], r.bytes(32))
	f.SchemaVersion = int(r.uvarint())
	f.Created = model.Millis(r.varint())
	if version == 1 {
		r.bool()
	} else {
		f.Store = r.string()
	}
	if f.Rows < 0 || f.Bytes < 0 || f.SchemaVersion < 0 {
		r.fail()
	}
	return f, r.end("export file")
}
