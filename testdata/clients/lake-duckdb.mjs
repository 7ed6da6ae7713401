// Files of the lake in DuckDB: node lake-duckdb.mjs FILE... Addresses need DuckDB's extension httpfs.

import { DuckDBDecimalValue, DuckDBInstance, DuckDBListValue, DuckDBStructValue, DuckDBTimestampTZValue } from '@duckdb/node-api';
import { Rows, each } from './lake-rows.mjs';

const connection = await (await DuckDBInstance.create(':memory:')).connect();
await connection.run("set timezone = 'UTC'");
const query = async (sql) => await connection.runAndReadAll(sql);
const quote = (file) => `'${file.replaceAll("'", "''")}'`;

const plain = (v) => {
  if (v instanceof DuckDBDecimalValue) return v.value;
  if (v instanceof DuckDBTimestampTZValue) return v.micros;
  if (v instanceof DuckDBListValue) return v.items.map(plain);
  if (v instanceof DuckDBStructValue) return Object.values(v.entries).map(plain);
  return v;
};

await each(process.argv.slice(2), async (file) => {
  const described = (await query(`describe select * from read_parquet(${quote(file)}, hive_partitioning = false)`)).getRows();
  const schema = described.map(([name, type]) => `${name} ${type}`);
  const read = await query(`select * from read_parquet(${quote(file)}, hive_partitioning = false) order by file_row_number`);
  const rows = new Rows(described.map(([name]) => name));
  for (const row of read.getRows()) rows.add(row.map(plain));
  // DuckDB's own sums, of whole numbers and decimals.
  const summed = described.filter(([, type]) => type.startsWith('DECIMAL'));
  const own = {};
  if (summed.length > 0) {
    const sql = summed.map(([name]) => `sum("${name}")`).join(', ');
    const [values] = (await query(`select ${sql} from read_parquet(${quote(file)})`)).getRows();
    summed.forEach(([name], i) => { own[name] = values[i] === null ? undefined : String(values[i].value); });
  }
  const metadata = (await query(`select decode(key), decode(value) from parquet_kv_metadata(${quote(file)})`)).getRows();
  const codecs = (await query(`select distinct compression from parquet_metadata(${quote(file)})`)).getRows();
  return rows.report({ schema, own, metadata: Object.fromEntries(metadata), codecs: codecs.flat() });
});
