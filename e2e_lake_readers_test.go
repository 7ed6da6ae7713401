package main

import (
	"os"
	"os/exec"
	"reflect"
	"testing"
)

// sameReaders wants the readers of other people to find in a file what we do.
func (r *recordedLake) sameReaders(id string, ours fileRows) {
	r.t.Helper()
	for i, told := range r.readers[id] {
		if told.Rows != ours.Rows || told.Digest != ours.Digest || !reflect.DeepEqual(told.Sums, ours.Sums) {
			r.t.Errorf("%s: reader %d finds %d rows, sums %v; ours finds %d, %v", id, i, told.Rows, told.Sums, ours.Rows, ours.Sums)
		}
	}
}

// readByOthers reads all files with hyparquet, in ranges from the running server, and with DuckDB. DuckDB reads the files that
// were downloaded: its extensions httpfs and iceberg come from its own site; where httpfs is installed it reads the links too.
func (r *recordedLake) readByOthers() {
	r.t.Helper()
	r.readers = map[string][]fileTold{}
	if !haveClients(r.t) {
		return
	}
	var links, names []string
	for id := range r.names {
		links, names = append(links, r.links[id]), append(names, r.names[id])
	}
	duckdb := []string{"node", "lake-duckdb.mjs"}
	told := []map[string]fileTold{readLake(r.t, clientsDir, []string{"node", "lake-hyparquet.mjs"}, links...), readLake(r.t, clientsDir, duckdb, names...)}
	if exec.Command("node", "--input-type=module", "-e", loadHTTPFS).Run() == nil {
		told = append(told, readLake(r.t, clientsDir, duckdb, links...))
	}
	for id := range r.names {
		for _, all := range told {
			one, ok := all[r.links[id]]
			if !ok {
				one = all[r.names[id]]
			}
			r.readers[id] = append(r.readers[id], one)
		}
	}
}

const loadHTTPFS = `import { DuckDBInstance } from './testdata/clients/node_modules/@duckdb/node-api/lib/index.js';
await (await (await DuckDBInstance.create(':memory:')).connect()).run('load httpfs');`

// checkTables reads the tables over the files with icebird, from the server, which lets calls of this machine in.
func (r *recordedLake) checkTables(files map[string]exported) {
	r.t.Helper()
	if !haveClients(r.t) {
		return
	}
	rows := map[string]int64{}
	var tables []string
	for _, f := range files {
		table := r.base + "/api/v1/data-lake/files/" + string(f.Dataset)
		rows[table] += f.Rows
	}
	for table := range rows {
		tables = append(tables, table)
	}
	for table, told := range readLake(r.t, clientsDir, []string{"node", "lake-iceberg.mjs"}, tables...) {
		if told.Rows != rows[table] {
			r.t.Errorf("icebird finds %d rows of %d in %s", told.Rows, rows[table], table)
		}
	}
}

// haveClients tells whether clients of other people can be run; where they cannot, and nobody wants them to, they are left out.
func haveClients(t testing.TB) bool {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil && os.Getenv("CI") == "" {
		t.Log("Node 20 with npm is not installed: files are read by ours only")
		return false
	}
	needClients(t)
	return true
}
