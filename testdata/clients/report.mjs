// What every script of this directory does around its calls: it takes the address of a venue, notes what each call gave
// or how it failed, and prints one JSON document, so that two runs can be compared.

import { createHash } from 'node:crypto';

// arguments of a script: node SCRIPT.mjs BASE [NAME=VALUE...]
export function settings() {
  const [base, ...rest] = process.argv.slice(2);
  if (!/^https?:\/\/[^/]+$/.test(base ?? '')) {
    console.error('usage: node SCRIPT.mjs http://HOST:PORT [NAME=VALUE...]');
    process.exit(2);
  }
  const given = Object.fromEntries(rest.map((pair) => pair.split(/=(.*)/s, 2)));
  return { base, stream: base.replace(/^http/, 'ws') + '/stream', ...given };
}

export class Report {
  #base;
  #calls = {};

  constructor(base) {
    this.#base = base;
  }

  // call notes what fn gives under a name. A failure is a result like any other: the class and the text that the client
  // makes of the venue's refusal, without the address that it went to.
  async call(name, fn) {
    let result;
    try {
      result = await fn();
      this.#calls[name] = result === undefined ? null : result;
    } catch (e) {
      this.#calls[name] = { failed: e.constructor.name, message: String(e.message).replaceAll(this.#base, 'BASE') };
    }
    return result;
  }

  print() {
    const text = JSON.stringify(this.#calls, (_, v) => (typeof v === 'bigint' ? String(v) : v), 1);
    process.stdout.write(text + '\n');
  }
}

// token is an auth token of the venue's form. Its signature is made up: a simulated venue checks the rest.
export function token(account, expires, key = 7) {
  const signature = createHash('sha256').update(`${account}:${key}:${expires}`).digest('hex');
  return `${expires}:${account}:${key}:${signature}`;
}

// fingerprint is how a simulated venue names a transaction: made of the very bytes that reached it.
export const fingerprint = (info) => createHash('sha256').update(info).digest('hex') + '0'.repeat(16);
