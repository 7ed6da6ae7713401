// Package export owns the data lake's files: the Parquet schemas of its datasets and what reads and writes them. It knows
// rows of the record, not how they are stored, and must not know HTTP.
package export

import _ "github.com/parquet-go/parquet-go"
