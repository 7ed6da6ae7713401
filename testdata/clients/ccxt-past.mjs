// ccxt's pro.lighter on the recorded past: nothing but its addresses is changed. Settings: start, end and speed of the
// replay, symbol=ETH. It watches book, trades and ticker until the replay ends, asks REST in between, and notes whether
// both told one past.

import ccxt from 'ccxt';
import { Report, settings } from './report.mjs';

const { base, stream, start, end, speed = '10', symbol: base_asset = 'ETH', key } = settings();
const symbol = `${base_asset}/USDC:USDC`;
const report = new Report(base);
const seen = { frames: {}, chains: { links: 0, broken: 0, snapshots: 0 }, newest: 0, closed: '', books: 0, crossed: 0 };

class Observed extends ccxt.pro.lighter {
  handleMessage(client, message) {
    super.handleMessage(client, message);
    const kind = message.error ? `error ${message.error.code} ${message.error.message}` : message.type;
    seen.frames[kind] = (seen.frames[kind] ?? 0) + 1;
    const book = message.order_book;
    if (book && message.type === 'subscribed/order_book') {
      seen.chains.snapshots++;
    } else if (book) {
      // Frames of 2025 have no nonces: their offset rises by one.
      const linked = book.nonce === undefined ? book.offset === seen.chains[message.channel] + 1 : book.begin_nonce === seen.chains[message.channel];
      seen.chains[linked ? 'links' : 'broken']++;
    }
    if (book) {
      seen.chains[message.channel] = book.nonce ?? book.offset;
      const held = this.orderbooks[this.safeSymbol(message.channel.split(':')[1])];
      seen.books++;
      if (held && held.bids.length && held.asks.length && held.bids[0][0] >= held.asks[0][0]) seen.crossed++;
    }
    for (const trade of [...(message.trades ?? []), ...(message.liquidation_trades ?? [])]) seen.newest = Math.max(seen.newest, trade.trade_id);
  }
}

const exchange = new Observed({ enableRateLimit: false, timeout: 10_000 });
const past = base + '/replay';
const query = new URLSearchParams({ start, end, speed, ...(key ? { api_key: key } : {}) });
exchange.urls.api = { ...exchange.urls.api, root: past, public: past, private: past, ws: `${stream.replace('/stream', '/replay/stream')}?${query}` };
if (key) exchange.headers = { 'X-Api-Key': key };
await exchange.loadHttpProxyAgent(); // ccxt wants it for a stream without TLS
await report.call('loadMarkets', async () => Object.keys(await exchange.loadMarkets()).length);

let over = false;
const watching = async (one) => {
  let rounds = 0;
  try {
    for (; ; rounds++) await one();
  } catch (e) {
    over = true;
    seen.closed ||= String(e.message);
  }
  return rounds;
};
const asking = async () => {
  const rest = { rounds: 0, behind: 0, ahead: 0, closes: 0, tickers: 0 };
  while (!over) {
    await exchange.sleep(100);
    if (over || seen.newest === 0) continue;
    try {
      const told = seen.newest;
      const recent = await exchange.publicGetRecentTrades({ market_id: exchange.market(symbol).id, limit: 100 });
      const newest = Number(recent.trades[0].trade_id);
      if (newest < told) rest.behind++;
      const bars = await exchange.fetchOHLCV(symbol, '1m', undefined, 3);
      // The running bar ends with a trade that had been told by then, not with the last one of its minute.
      rest.closes += bars.length > 0 && bars.at(-1)[0] <= Number(recent.trades[0].timestamp) ? 1 : 0;
      const ticker = await exchange.fetchTicker(symbol);
      rest.tickers += ticker.last > 0 ? 1 : 0;
      if (Number(recent.trades[0].timestamp) >= Number(end)) rest.ahead++;
      rest.rounds++;
    } catch (e) {
      if (!over && !/session|at is required/.test(String(e.message))) throw e;
    }
  }
  return rest;
};
const [books, , trades, tickers, rest] = await Promise.all([
  watching(() => exchange.watchOrderBook(symbol)),
  watching(() => exchange.watchOrderBook('BTC/USDC:USDC')),
  watching(() => exchange.watchTrades(symbol)),
  watching(() => exchange.watchTicker(symbol)),
  report.call('rest', asking),
]);
await report.call('watched', () => ({ books, trades, tickers }));
await report.call('seen', () => seen);
await exchange.close();
report.print();
process.exit(0);
