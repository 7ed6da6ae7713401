// Files of the lake in hyparquet: node lake-hyparquet.mjs FILE-OR-ADDRESS... Of an address it fetches ranges. Decimals and
// microseconds become floats and milliseconds there; for exact rows they are read as the whole numbers that they are.

import { asyncBufferFromFile, asyncBufferFromUrl, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { Rows, each } from './lake-rows.mjs';

const typeOf = (e) => {
  const l = e.logical_type;
  if (!l) return e.type;
  if (l.type === 'DECIMAL') return `DECIMAL(${l.precision},${l.scale})`;
  if (l.type === 'TIMESTAMP') return `TIMESTAMP(${l.unit},${l.isAdjustedToUTC ? 'UTC' : 'local'})`;
  return l.type;
};

await each(process.argv.slice(2), async (name) => {
  let fetched = 0;
  const file = name.startsWith('http') ? await asyncBufferFromUrl({ url: name }) : await asyncBufferFromFile(name);
  const counted = { byteLength: file.byteLength, slice: (from, to) => { fetched++; return file.slice(from, to); } };
  const metadata = await parquetMetadataAsync(counted);
  const schema = metadata.schema.slice(1).map((e) => `${e.name} ${e.repetition_type} ${typeOf(e)}`);
  const scale = {}; // of times, to microseconds
  const columns = [];
  let skip = 0;
  for (const e of metadata.schema.slice(1)) {
    if (skip > 0) { skip += (e.num_children ?? 0) - 1; } else { columns.push(e.name); skip = e.num_children ?? 0; }
    if (e.logical_type?.type === 'TIMESTAMP') scale[e.name] = e.logical_type.unit === 'MILLIS' ? 1000n : 1n;
    if (e.logical_type?.type === 'TIMESTAMP' || e.logical_type?.type === 'DECIMAL') {
      delete e.logical_type;
      delete e.converted_type;
    }
  }
  const plain = (v) => {
    if (Array.isArray(v)) return v.map(plain);
    return v !== null && typeof v === 'object' ? Object.values(v).map(plain) : v;
  };
  const rows = new Rows(columns);
  for (const row of await parquetReadObjects({ file: counted, metadata, compressors })) {
    rows.add(columns.map((c) => (row[c] != null && scale[c] ? row[c] * scale[c] : plain(row[c]))));
  }
  return rows.report({
    schema, fetched, rowsInFooter: String(metadata.num_rows),
    metadata: Object.fromEntries(metadata.key_value_metadata.map((m) => [m.key, m.value])),
    codecs: [...new Set(metadata.row_groups.flatMap((g) => g.columns.map((c) => c.meta_data.codec)))],
    sorting: metadata.row_groups.map((g) => (g.sorting_columns ?? []).map((s) => columns[s.column_idx])),
    groups: metadata.row_groups.map((g) => String(g.num_rows)),
  });
});
