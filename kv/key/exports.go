package key

// ExportKey is what the key of a listed file of the data lake says.
type ExportKey struct {
	Dataset uint8
	Day     uint32
	Market  int64 // the venue's own id, -1 for a file of all markets
}

// Export appends the key of a listed file of the data lake.
func Export(dst []byte, dataset uint8, day uint32, market int64) []byte {
	dst = appendU32(append(dst, byte(Exports), dataset), day)
	return appendU64(dst, uint64(market+1)) // all markets first
}

// ParseExport reads a key of Export.
func ParseExport(k []byte) (ExportKey, error) {
	r := open(k, Exports, 1+1+4+8)
	e := ExportKey{Dataset: r.u8(), Day: r.u32()}
	e.Market = int64(r.u64()) - 1
	return e, r.err(Exports, 0, 0)
}
