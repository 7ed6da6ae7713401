// What the scripts of the lake share: rows as text that every reader can write alike, and what is told of a file.
// Whole numbers, mantissas of decimals, microseconds of times, true and false, null, texts in quotes, lists in brackets.

import { createHash } from 'node:crypto';

const text = (v) => {
  if (v === null || v === undefined) return 'null';
  if (Array.isArray(v)) return `[${v.map(text).join(' ')}]`;
  return typeof v === 'string' ? JSON.stringify(v) : String(v);
};

export class Rows {
  #hash = createHash('sha256');
  rows = 0;
  sums = {};

  constructor(columns) {
    this.columns = columns;
  }

  add(values) {
    this.rows++;
    this.#hash.update(values.map(text).join(',') + '\n');
    values.forEach((v, i) => {
      if (typeof v === 'bigint' || typeof v === 'number') this.sums[this.columns[i]] = (this.sums[this.columns[i]] ?? 0n) + BigInt(v);
    });
  }

  report(more) {
    const sums = Object.fromEntries(Object.entries(this.sums).map(([k, v]) => [k, String(v)]));
    return { rows: this.rows, digest: this.#hash.digest('hex'), sums, ...more };
  }
}

export async function each(files, read) {
  const out = {};
  for (const file of files) out[file] = await read(file);
  process.stdout.write(JSON.stringify(out) + '\n');
}
