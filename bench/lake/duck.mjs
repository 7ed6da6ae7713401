// A DuckDB in this process: a statement a line in, how long it took and its processor time in milliseconds, its rows, or its
// error, as a line of JSON out.
import { createInterface } from 'node:readline';
import { DuckDBInstance } from '@duckdb/node-api';

const instance = await DuckDBInstance.create(':memory:', { threads: process.argv[2] });
const db = await instance.connect();
console.log('ready');
for await (const statement of createInterface({ input: process.stdin })) {
  const answer = {};
  try {
    const began = performance.now(), before = process.cpuUsage();
    const reader = await db.runAndReadAll(statement);
    answer.ms = performance.now() - began;
    const used = process.cpuUsage(before);
    answer.processor = (used.user + used.system) / 1e3;
    const rows = reader.getRowsJson();
    answer.rows = rows.length;
    answer.text = JSON.stringify(rows);
  } catch (e) {
    answer.error = String(e.message ?? e);
  }
  console.log(JSON.stringify(answer));
}
