// The REST side of ccxt's class lighter. Settings: account=INDEX (a master account of the venue), symbol=ETH.

import ccxt from 'ccxt';
import { Report, fingerprint, settings, token } from './report.mjs';

const { base, account = '42', symbol: base_asset = 'ETH', key } = settings();
const symbol = `${base_asset}/USDC:USDC`;
const exchange = new ccxt.lighter({ enableRateLimit: false, timeout: 10_000 });
exchange.urls.api = { ...exchange.urls.api, root: base, public: base, private: base };
if (key) exchange.headers = { 'X-Api-Key': key };
const report = new Report(base);
const own = { accountIndex: Number(account) };

await report.call('fetchStatus', () => exchange.fetchStatus());
const now = (await report.call('fetchTime', () => exchange.fetchTime())) ?? 0;
await report.call('loadMarkets', () => exchange.loadMarkets());
await report.call('currencies', () => exchange.currencies);
await report.call('fetchOrderBook', () => exchange.fetchOrderBook(symbol));
await report.call('fetchOrderBook 5', () => exchange.fetchOrderBook(symbol, 5));
await report.call('fetchTicker', () => exchange.fetchTicker(symbol));
await report.call('fetchTickers', () => exchange.fetchTickers());
await report.call('fetchTickers one', () => exchange.fetchTickers([symbol]));
await report.call('fetchFundingRates', () => exchange.fetchFundingRates());

const until = now + 1000; // of a venue that stands still: two runs ask for the same range
for (const timeframe of ['1m', '5m', '1h', '1d', '1w']) {
  const since = until - 100 * exchange.parseTimeframe(timeframe) * 1000;
  await report.call(`fetchOHLCV ${timeframe}`, () => exchange.fetchOHLCV(symbol, timeframe, since, undefined, { until }));
}
await report.call('fetchOHLCV limit', () => exchange.fetchOHLCV(symbol, '1m', until - 240_000, 3));
await report.call('fetchOHLCV refused', () => exchange.fetchOHLCV(symbol, '7m', until - 240_000, 3));
await report.call('fetchTrades', () => exchange.fetchTrades(symbol)); // ccxt has none for this venue, and says so

await report.call('fetchPositions', () => exchange.fetchPositions(undefined, own));
await report.call('fetchPosition', () => exchange.fetchPosition(symbol, own));
await report.call('fetchBalance', () => exchange.fetchBalance(own));
await report.call('fetchAccounts', () => exchange.fetchAccounts(own));
await report.call('fetchPositions unknown', () => exchange.fetchPositions(undefined, { accountIndex: 99_999_999 }));

// The venue's own paths under their own names.
const fundings = { market_id: 0, resolution: '1h', start_timestamp: until - 86_400_000, end_timestamp: until, count_back: 0 };
await report.call('recentTrades', () => exchange.publicGetRecentTrades({ market_id: 0, limit: 20 }));
await report.call('recentTrades refused', () => exchange.publicGetRecentTrades({ market_id: 0, limit: 101 }));
await report.call('orderBooks', () => exchange.publicGetOrderBooks());
await report.call('fundings', () => exchange.publicGetFundings(fundings));
await report.call('exchangeStats', () => exchange.publicGetExchangeStats());
await report.call('currentHeight', () => exchange.publicGetCurrentHeight());
await report.call('apikeys', () => exchange.publicGetApikeys({ account_index: account, api_key_index: 255 }));
await report.call('nextNonce', () => exchange.publicGetNextNonce({ account_index: account, api_key_index: 7 }));
await report.call('withdrawalDelay', () => exchange.publicGetWithdrawalDelay());
await report.call('announcement', () => exchange.publicGetAnnouncement());
await report.call('tokenlist', () => exchange.publicGetTokenlist());
await report.call('fastbridge/info', () => exchange.publicGetFastbridgeInfo());
await report.call('blocks', () => exchange.publicGetBlocks({ limit: 3, index: 10 }));
await report.call('tx unknown', () => exchange.publicGetTx({ by: 'hash', value: '00' }));

// Reads that need a token. The signing library of the venue is not at hand: its result is put where ccxt keeps it.
const deadline = Math.floor(Date.now() / 1000) + 3600;
await report.call('fetchOpenOrders without a token', () => exchange.fetchOpenOrders(symbol, undefined, undefined, own));
exchange.options.auths = { [account]: { 254: { signer: {}, deadline, token: token(account, deadline, 254) } } };
exchange.options.apiKeyIndex = 254;
exchange.options.accountIndex = own.accountIndex;
await report.call('fetchOpenOrders', () => exchange.fetchOpenOrders(symbol));
await report.call('fetchClosedOrders', () => exchange.fetchClosedOrders(symbol));
await report.call('fetchMyTrades', () => exchange.fetchMyTrades(symbol));
await report.call('fetchDeposits', () => exchange.fetchDeposits(undefined, undefined, undefined, { address: '0x00' }));
await report.call('fetchWithdrawals', () => exchange.fetchWithdrawals());
await report.call('fetchTransfers', () => exchange.fetchTransfers());
await report.call('accountLimits', () => exchange.privateGetAccountLimits({ account_index: account }));
await report.call('positionFunding', () => exchange.privateGetPositionFunding({ account_index: account, limit: 5 }));
await report.call('liquidations', () => exchange.privateGetLiquidations({ account_index: account, limit: 5 }));

// ccxt sends a multipart form where the venue documents a URL-encoded one. What is signed has to arrive as it was sent.
await report.call('sendTx', async () => {
  const { nonce } = await exchange.publicGetNextNonce({ account_index: account, api_key_index: 8 });
  const info = JSON.stringify({ AccountIndex: own.accountIndex, ApiKeyIndex: 8, Nonce: Number(nonce), Memo: 'ä&=+ %41 \u0001"' });
  return (await exchange.publicPostSendTx({ tx_type: 14, tx_info: info })).tx_hash === fingerprint(info);
});

report.print();
