// Tables of the lake in icebird: node lake-iceberg.mjs ADDRESS... where an address is that of a table, over HTTP. Numbers are
// floats there, so what is told of them is rounded to the decimals that the columns have.

import { icebergMetadata, icebergRead } from 'icebird';
import { each } from './lake-rows.mjs';

await each(process.argv.slice(2), async (tableUrl) => {
  const metadata = await icebergMetadata({ tableUrl });
  const rows = await icebergRead({ tableUrl, metadata });
  const schema = metadata.schemas.find((s) => s['schema-id'] === metadata['current-schema-id']);
  const sums = {};
  for (const { name, type } of schema.fields) {
    const decimals = /^decimal\(\d+, (\d+)\)$/.exec(type);
    if (!decimals && !['long', 'int'].includes(type)) continue;
    const scale = 10 ** Number(decimals?.[1] ?? 0);
    let sum = 0n;
    let seen = false;
    for (const row of rows) {
      if (row[name] === null || row[name] === undefined) continue;
      seen = true;
      sum += typeof row[name] === 'bigint' ? row[name] : BigInt(Math.round(row[name] * scale));
    }
    if (seen) sums[name] = String(sum);
  }
  const levels = rows.reduce((n, row) => n + (row.bids?.length ?? 0) + (row.asks?.length ?? 0), 0);
  const columns = schema.fields.map((f) => (typeof f.type === 'string' ? `${f.name} ${f.type}` : `${f.name} ${f.type.type}`));
  return { rows: rows.length, sums, schema: columns, levels, snapshots: metadata.snapshots.length };
});
