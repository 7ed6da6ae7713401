// The stream side of ccxt: pro.lighter. Settings: seconds=2 (how long it watches), account=INDEX, symbol=ETH, and
// together=1, which says `watching` on standard error once both books are there and watches until standard input ends.
// Books are told as one digest for each nonce, so that two runs at the same time can be compared where they met.

import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import ccxt from 'ccxt';
import { Report, fingerprint, settings, token } from './report.mjs';

const { base, stream, account = '42', symbol: base_asset = 'ETH', seconds = '2', together, key } = settings();
const symbol = `${base_asset}/USDC:USDC`;
const report = new Report(base);
const seen = { frames: {}, books: {}, trades: {}, tickers: {}, chains: { links: 0, broken: 0, snapshots: 0 } };

const digest = (value) => createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);

// Observed looks at each frame after ccxt has taken it in.
class Observed extends ccxt.pro.lighter {
  handleMessage(client, message) {
    super.handleMessage(client, message);
    const kind = message.error ? `error ${message.error.code} ${message.error.message}` : message.type;
    seen.frames[kind] = (seen.frames[kind] ?? 0) + 1;
    const chain = message.order_book;
    if (chain && message.type === 'subscribed/order_book') {
      if (++seen.chains.snapshots === 2) console.error('watching');
      seen.chains[message.channel] = chain.nonce;
      if (chain.begin_nonce !== 0) seen.chains.broken++;
    } else if (chain) {
      seen.chains.links++;
      if (chain.begin_nonce !== seen.chains[message.channel]) seen.chains.broken++;
      seen.chains[message.channel] = chain.nonce;
    }
    if (chain) {
      const book = this.orderbooks[this.safeSymbol(message.channel.split(':')[1])];
      if (book) seen.books[`${message.channel} ${chain.nonce}`] = digest([[...book.bids], [...book.asks]]);
    }
    for (const trade of [...(message.trades ?? []), ...(message.liquidation_trades ?? [])]) seen.trades[trade.trade_id_str] = trade;
    if (message.market_stats) seen.tickers[digest(message.market_stats)] = message.channel;
  }
}

const exchange = new Observed({ enableRateLimit: false, timeout: 10_000 });
exchange.urls.api = { ...exchange.urls.api, root: base, public: base, private: base, ws: stream + (key ? `?api_key=${key}` : '') };
if (key) exchange.headers = { 'X-Api-Key': key };
await exchange.loadHttpProxyAgent(); // ccxt wants it for a stream without TLS
await exchange.loadMarkets();

let over = false;
const end = together
  ? new Promise((resolve) => process.stdin.on('end', resolve).resume())
  : sleep(Number(seconds) * 1000);
end.then(() => (over = true));
const watching = (name, one) =>
  report.call(name, async () => {
    let rounds = 0;
    for (; !over; rounds++) await Promise.race([one(), end]);
    return rounds > 0;
  });
await Promise.all([
  watching('watchOrderBook', () => exchange.watchOrderBook(symbol)),
  watching('watchOrderBook of another market', () => exchange.watchOrderBook('BTC/USDC:USDC')),
  watching('watchTrades', () => exchange.watchTrades(symbol)),
  watching('watchTicker', () => exchange.watchTicker(symbol)),
  watching('watchTickers', () => exchange.watchTickers()),
]);
await report.call('unWatchOrderBook', () => exchange.unWatchOrderBook(symbol));
await report.call('unWatchTrades', () => exchange.unWatchTrades(symbol));
await report.call('unWatchTicker', () => exchange.unWatchTicker(symbol));
await report.call('unWatchTickers', () => exchange.unWatchTickers());
const before = seen.chains.snapshots;
await report.call('watchOrderBook again', async () => (await exchange.watchOrderBook(symbol)).asks.length > 0);
await report.call('a new snapshot came', () => seen.chains.snapshots === before + 1);
await report.call('unWatchOrderBook again', () => exchange.unWatchOrderBook(symbol));

// Channels of an account, with a token where the venue wants one.
const deadline = Math.floor(Date.now() / 1000) + 3600;
exchange.options.auths = { [account]: { 254: { signer: {}, deadline, token: token(account, deadline, 254) } } };
Object.assign(exchange.options, { apiKeyIndex: 254, accountIndex: Number(account) });
await report.call('watchBalance', async () => Object.keys((await exchange.watchBalance()).total));
await report.call('watchOrders', async () => (await exchange.watchOrders(symbol)).length > 0);

// A transaction as createOrderWs sends it once it is signed: what is signed has to arrive as it was sent.
await report.call('sendTx over the stream', async () => {
  const id = exchange.requestId(exchange.urls.api.ws);
  const tx = { AccountIndex: process.pid, ApiKeyIndex: 4, Nonce: 1, Memo: 'ä&=+ %41 \u0001"' };
  const hash = `jsonapi/sendtx:${id}`;
  const message = { type: 'jsonapi/sendtx', data: { id, tx_type: 14, tx_info: tx } };
  const answer = await exchange.watch(exchange.urls.api.ws, hash, message, hash, { id });
  return answer.code === 200 && answer.tx_hash === fingerprint(JSON.stringify(tx));
});

// What the venue refuses, it refuses by a frame without an id: ccxt fails everything that waits on the socket.
const refused = (name, channel) =>
  report.call(name, () => exchange.watch(exchange.urls.api.ws, name, { type: 'subscribe', channel }, name));
await refused('watch an unknown family', 'nothing/0');
await refused('watch an unknown market', 'order_book/9999');
await refused('watch without a token', `account_tx/${account}`);
await exchange.close();

await report.call('seen', () => seen);
report.print();
