package iceberg

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"hyperlight/engine/lake"
)

// digestsKey is where a manifest keeps the SHA-256 of each of its files, in their order, beside what Iceberg knows of them.
const digestsKey = "hyperlight.sha256"

// manifest has the files of one month of a table.
type manifest struct {
	listed
	month int // year times 12 plus month
	live  []entry
}

// monthOf returns the month of a file.
func monthOf(p partition) int {
	var day int32
	if p.Day != nil {
		day = *p.Day
	}
	t := time.Unix(int64(day)*86_400, 0).UTC()
	return t.Year()*12 + int(t.Month()) - 1
}

// read reads the manifests of the current snapshot.
func (s *state) read(dir directory) error {
	current := s.table.current()
	if current == nil {
		return nil
	}
	raw, err := dir.read(current.ManifestList)
	if err != nil {
		return err
	}
	list, _, err := decode[listed](raw)
	if err != nil {
		return fmt.Errorf("read manifest list: %w", err)
	}
	for _, l := range list {
		if l.Added+l.Existing == 0 {
			continue // it told readers of the last snapshot what went
		}
		m := &manifest{listed: l}
		if raw, err = dir.read(l.Path); err != nil {
			return err
		}
		rows, metadata, err := decode[entry](raw)
		if err != nil {
			return fmt.Errorf("read manifest: %w", err)
		}
		digests := metadata[digestsKey]
		if len(digests) != len(rows)*sha256.Size {
			return errors.New("read manifest: digests of other files")
		}
		for i := range rows {
			e := rows[i]
			e.digest = [sha256.Size]byte(digests[i*sha256.Size:])
			if e.Status == deleted {
				continue
			}
			if e.Sequence == nil {
				e.Sequence, e.FileSequence = &l.Sequence, &l.Sequence
			}
			m.month = monthOf(e.File.Partition)
			m.live = append(m.live, e)
			s.before[0]++
			s.before[1] += e.File.Rows
			s.before[2] += e.File.Bytes
		}
		s.manifests = append(s.manifests, m)
	}
	return nil
}

// compare finds what the listed files change. A file that cannot be read as it is listed counts as not listed. One that the object
// store alone has stays in a table that has it already, and out of any other: that is no fault, and no later attempt changes it.
func (s *state) compare(files []lake.File, dir string) (changed bool, skipped error) {
	want := make(map[string]lake.File, len(files))
	for _, f := range files {
		want[s.location+"/"+f.ID.Key()] = f
	}
	var errs []error
	for _, m := range s.manifests {
		for _, e := range m.live {
			f, ok := want[e.File.Path]
			if ok && f.SHA256 == e.digest {
				delete(want, e.File.Path)
				continue
			}
			if s.gone == 0 || *e.FileSequence < s.gone {
				s.gone = *e.FileSequence
			}
			s.deleted = append(s.deleted, e)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		e, err := s.measure(want[path], dir)
		if errors.Is(err, errGone) && want[path].Remote {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("take in file %s: %w", want[path].ID, err))
			continue
		}
		s.added = append(s.added, e)
	}
	return len(s.added)+len(s.deleted) > 0, errors.Join(errs...)
}

// write writes the next version of the table: what a version needs is there before its name is.
func (s *state) write(ctx context.Context, dir directory, o Options) error {
	t := s.table
	n := snapshot{
		Sequence: t.LastSequence + 1, ID: t.nextSnapshot(t.LastSequence + 1), Time: max(o.Now().UnixMilli(), t.LastUpdated+1), Schema: t.CurrentSchema,
	}
	if s.version > 0 && t.current() != nil {
		t.MetadataLog = append(t.MetadataLog, metadataEntry{t.LastUpdated, dir.url + "/" + versionName(s.version)})
		t.MetadataLog = t.MetadataLog[max(0, len(t.MetadataLog)-o.Snapshots):]
	}
	if err := s.writeManifests(ctx, dir, &n); err != nil {
		return err
	}
	list := make([]listed, len(s.manifests))
	for i, m := range s.manifests {
		list[i] = m.listed
	}
	raw, err := encode(listSchema, map[string][]byte{
		"snapshot-id": strconv.AppendInt(nil, n.ID, 10), "sequence-number": strconv.AppendInt(nil, n.Sequence, 10), "format-version": []byte("2"),
	}, list)
	if err != nil {
		return fmt.Errorf("write manifest list: %w", err)
	}
	name := fmt.Sprintf("snap-%d-%s.avro", n.ID, t.UUID[:8])
	if err := dir.write(ctx, name, raw); err != nil {
		return err
	}
	n.ManifestList, n.Summary = dir.url+"/"+name, s.summary()
	gone := s.gone
	if gone == 0 {
		gone = n.Sequence
	}
	t.add(n, gone, o.Snapshots)
	if o.Store != "" {
		t.Properties[storeKey] = o.Store
	}
	if raw, err = json.Marshal(t); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	s.version++
	if err := dir.write(ctx, versionName(s.version), raw); err != nil {
		return err
	}
	return dir.hint(ctx, s.version)
}

// writeManifests writes the manifests of the months that have changed.
func (s *state) writeManifests(ctx context.Context, dir directory, n *snapshot) error {
	changed := make(map[int][]entry)
	for _, e := range s.added {
		e.Status, e.Snapshot = added, &n.ID
		month := monthOf(e.File.Partition)
		changed[month] = append(changed[month], e)
	}
	went := make(map[string]bool)
	for _, e := range s.deleted {
		e.Status, e.Snapshot = deleted, &n.ID
		went[e.File.Path] = true
		month := monthOf(e.File.Partition)
		changed[month] = append(changed[month], e)
	}
	var kept []*manifest
	for _, m := range s.manifests {
		if changed[m.month] == nil {
			kept = append(kept, m)
			continue
		}
		for _, e := range m.live {
			if !went[e.File.Path] {
				e.Status = existing
				changed[m.month] = append(changed[m.month], e)
			}
		}
	}
	for _, month := range slices.Sorted(maps.Keys(changed)) {
		m, err := s.writeManifest(ctx, dir, n, month, changed[month])
		if err != nil {
			return err
		}
		kept = append(kept, m)
	}
	s.manifests = kept
	return nil
}

func (s *state) writeManifest(ctx context.Context, dir directory, n *snapshot, month int, rows []entry) (*manifest, error) {
	t := s.table
	m := &manifest{month: month, listed: listed{Spec: specID, Sequence: n.Sequence, MinSequence: n.Sequence, Snapshot: n.ID}}
	slices.SortStableFunc(rows, byPlace)
	var digests []byte
	for _, e := range rows {
		digests = append(digests, e.digest[:]...)
		switch e.Status {
		case added:
			m.Added, m.AddedRows = m.Added+1, m.AddedRows+e.File.Rows
		case existing:
			m.Existing, m.ExistingRows = m.Existing+1, m.ExistingRows+e.File.Rows
		default:
			m.Deleted, m.DeletedRows = m.Deleted+1, m.DeletedRows+e.File.Rows
		}
		if e.Status != deleted && e.Sequence != nil {
			m.MinSequence = min(m.MinSequence, *e.Sequence)
		}
	}
	m.Partitions = summaries(rows, s.dataset.PerMarket())
	schema, err := json.Marshal(s.schema())
	if err != nil {
		return nil, fmt.Errorf("write schema: %w", err)
	}
	spec, err := json.Marshal(t.PartitionSpecs[specID].Fields)
	if err != nil {
		return nil, fmt.Errorf("write partition spec: %w", err)
	}
	raw, err := encode(entrySchema(s.dataset.PerMarket()), map[string][]byte{
		"schema": schema, "schema-id": strconv.AppendInt(nil, int64(t.CurrentSchema), 10), "partition-spec": spec,
		"partition-spec-id": []byte(strconv.Itoa(specID)), "format-version": []byte("2"), "content": []byte("data"), digestsKey: digests,
	}, rows)
	if err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	name := fmt.Sprintf("files-%04d%02d-%d-%s.avro", month/12, month%12+1, n.Sequence, t.UUID[:8])
	m.Path, m.Bytes = dir.url+"/"+name, int64(len(raw))
	return m, dir.write(ctx, name, raw)
}

// byPlace orders files by day and market, what goes before what comes.
func byPlace(a, b entry) int {
	p, q := a.File.Partition, b.File.Partition
	if *p.Day != *q.Day {
		return int(*p.Day) - int(*q.Day)
	}
	if p.Market != nil && q.Market != nil && *p.Market != *q.Market {
		return int(*p.Market) - int(*q.Market)
	}
	return int(b.Status) - int(a.Status)
}

// summaries returns the bounds of the partition fields, by which readers leave a manifest out.
func summaries(rows []entry, perMarket bool) *[]summary {
	bounds := func(of func(partition) int32) summary {
		low, high := of(rows[0].File.Partition), of(rows[0].File.Partition)
		for _, e := range rows {
			low, high = min(low, of(e.File.Partition)), max(high, of(e.File.Partition))
		}
		l, h := binary.LittleEndian.AppendUint32(nil, uint32(low)), binary.LittleEndian.AppendUint32(nil, uint32(high))
		return summary{HasNaN: new(bool), Lower: &l, Upper: &h}
	}
	var out []summary
	if perMarket {
		out = append(out, bounds(func(p partition) int32 { return *p.Market }))
	}
	out = append(out, bounds(func(p partition) int32 { return *p.Day }))
	return &out
}

// summary says what the snapshot did, in the words of Iceberg.
func (s *state) summary() map[string]string {
	count := func(rows []entry) (files, records, size int64) {
		for _, e := range rows {
			files, records, size = files+1, records+e.File.Rows, size+e.File.Bytes
		}
		return files, records, size
	}
	out := map[string]string{"operation": "append"}
	switch {
	case len(s.deleted) > 0 && len(s.added) > 0:
		out["operation"] = "overwrite"
	case len(s.deleted) > 0:
		out["operation"] = "delete"
	}
	set := func(key string, v int64) { out[key] = strconv.FormatInt(v, 10) }
	files, records, size := count(s.added)
	set("added-data-files", files)
	set("added-records", records)
	set("added-files-size", size)
	goneFiles, goneRecords, goneSize := count(s.deleted)
	set("deleted-data-files", goneFiles)
	set("deleted-records", goneRecords)
	set("removed-files-size", goneSize)
	files, records, size = files-goneFiles, records-goneRecords, size-goneSize
	set("total-data-files", s.before[0]+files)
	set("total-records", s.before[1]+records)
	set("total-files-size", s.before[2]+size)
	return out
}
