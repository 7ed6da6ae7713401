// The REST side of the venue's own client, zklighter-perps. It is published as TypeScript; `npm run build` bundles it.
// Settings: account=INDEX (a master account of the venue).

import * as client from './node_modules/.cache/zklighter-perps.mjs';
import { Report, fingerprint, settings, token } from './report.mjs';

const { base, account: index = '42', key } = settings();
const account = Number(index);
const report = new Report(base);
const configuration = new client.Configuration({ basePath: base, headers: key ? { 'X-Api-Key': key } : undefined });
const api = Object.fromEntries(
  ['Account', 'Announcement', 'Block', 'Bridge', 'Candlestick', 'Funding', 'Geo', 'Info', 'Order', 'Root', 'Tokenlist', 'Transaction']
    .map((name) => [name, new client[name + 'Api'](configuration)]),
);

// A refusal reaches the caller as the response itself.
const call = (name, fn) =>
  report.call(name, async () => {
    try {
      return await fn();
    } catch (e) {
      if (!e.response) throw e;
      return { status: e.response.status, type: e.response.headers.get('content-type'), body: await e.response.text() };
    }
  });

const status = await call('status', () => api.Root.status());
const to = (status?.timestamp ?? 0) * 1000 + 1000;
const range = { market_id: 0, start_timestamp: to - 3_600_000, end_timestamp: to, count_back: 0 };
await call('info', () => api.Root.info());

await call('orderBooks', () => api.Order.orderBooks());
await call('orderBooks of one', () => api.Order.orderBooks({ market_id: 1 }));
await call('orderBooks spot', () => api.Order.orderBooks({ filter: 'spot' }));
await call('orderBooks unknown', () => api.Order.orderBooks({ market_id: 9999 }));
await call('orderBookDetails', () => api.Order.orderBookDetails());
await call('orderBookDetails of one', () => api.Order.orderBookDetails({ market_id: 0, filter: 'perp' }));
await call('orderBookOrders', () => api.Order.orderBookOrders({ market_id: 0, limit: 250 }));
await call('orderBookOrders refused', () => api.Order.orderBookOrders({ market_id: 0, limit: 251 }));
await call('recentTrades', () => api.Order.recentTrades({ market_id: 0, limit: 100 }));
await call('trades', () => api.Order.trades({ sort_by: 'timestamp', limit: 50 }));
await call('trades of a market', () => api.Order.trades({ sort_by: 'trade_id', limit: 10, market_id: 1 }));
await call('exchangeStats', () => api.Order.exchangeStats());
await call('exchangeMetrics', () => api.Order.exchangeMetrics({ period: 'd', kind: 'volume' }));
await call('executeStats', () => api.Order.executeStats({ period: 'd' }));
await call('marketMetrics', () => api.Order.marketMetrics({ timestamp: to, kind: 'volume' }));
await call('assetDetails', () => api.Order.assetDetails());
await call('assetDetails of one', () => api.Order.assetDetails({ asset_id: 3 }));

for (const resolution of ['1m', '5m', '15m', '30m', '1h', '4h', '12h', '1d', '1w'])
  await call(`candles ${resolution}`, () => api.Candlestick.candles({ ...range, resolution }));
await call('candles of seconds', () =>
  api.Candlestick.candles({ ...range, resolution: '1m', start_timestamp: to / 1000 - 3600, end_timestamp: to / 1000, count_back: 10 }));
await call('candles backwards', () => api.Candlestick.candles({ ...range, resolution: '1m', start_timestamp: to, end_timestamp: to - 1 }));
await call('markPriceCandles', () => api.Candlestick.markPriceCandles({ ...range, resolution: '1m' }));
await call('marketPriceCharts', () => api.Candlestick.marketPriceCharts({ market_ids: [0, 1] }));
await call('fundings', () => api.Candlestick.fundings({ ...range, resolution: '1h', start_timestamp: to - 86_400_000 }));
await call('fundingRates', () => api.Funding.fundingRates());

await call('account', () => api.Account.account({ by: 'index', value: index }));
await call('account of active positions', () => api.Account.account({ by: 'index', value: index, active_only: true }));
await call('account unknown', () => api.Account.account({ by: 'index', value: '99999999' }));
const own = await call('account by address', async () => {
  const { accounts } = await api.Account.account({ by: 'index', value: index });
  return api.Account.account({ by: 'l1_address', value: accounts[0].l1_address });
});
await call('accountsByL1Address', () => api.Account.accountsByL1Address({ l1_address: own.accounts[0].l1_address }));
await call('accountsByL1Address unknown', () => api.Account.accountsByL1Address({ l1_address: '0x00' }));
await call('accountMetadata', () => api.Account.accountMetadata({ by: 'index', value: index }));
await call('apikeys', () => api.Account.apikeys({ account_index: account }));
await call('leaseOptions', () => api.Account.leaseOptions());
await call('publicPoolsMetadata', () => api.Account.publicPoolsMetadata({ index: 0, limit: 10 }));

await call('currentHeight', () => api.Block.currentHeight());
await call('blocks', () => api.Block.blocks({ limit: 3 }));
await call('block', () => api.Block.block({ by: 'height', value: '1' }));
await call('blockTxs', () => api.Transaction.blockTxs({ by: 'block_height', value: '1' }));
await call('txs', () => api.Transaction.txs({ limit: 3 }));
await call('tx unknown', () => api.Transaction.tx({ by: 'hash', value: '00' }));
await call('nextNonce', () => api.Transaction.nextNonce({ account_index: account, api_key_index: 5 }));

await call('systemConfig', () => api.Info.systemConfig());
await call('withdrawalDelay', () => api.Info.withdrawalDelay());
await call('layer1BasicInfo', async () => (await fetch(base + '/api/v1/layer1BasicInfo')).json()); // not in the client
await call('announcement', () => api.Announcement.announcement());
await call('tokenlist', () => api.Tokenlist.tokenlist());
await call('depositNetworks', () => api.Bridge.depositNetworks());
await call('fastbridgeInfo', () => api.Bridge.fastbridgeInfo());

// With a token as a header and as a query member, and without one. The client's own parameter `authorization` becomes a
// query member of that name, which the venue's documentation does not know.
const pass = token(index, Math.floor(Date.now() / 1000) + 3600);
const auth = pass;
const header = { headers: { ...configuration.headers, Authorization: pass } };
const mine = { account_index: account };
await call('accountActiveOrders without a token', () => api.Order.accountActiveOrders(mine));
await call('accountActiveOrders by header', () => api.Order.accountActiveOrders(mine, header));
await call('accountActiveOrders by query', () => api.Order.accountActiveOrders({ ...mine, auth }));
await call('accountActiveOrders by authorization', () => api.Order.accountActiveOrders({ ...mine, authorization: pass }));
await call('accountActiveOrders of another', () => api.Order.accountActiveOrders({ account_index: account + 1, auth }));
await call('accountInactiveOrders', () => api.Order.accountInactiveOrders({ ...mine, limit: 10 }, header));
await call('accountLimits', () => api.Account.accountLimits(mine, header));
await call('positionFunding', () => api.Account.positionFunding({ ...mine, limit: 10, auth }));
await call('liquidations', () => api.Account.liquidations({ ...mine, limit: 10, auth }));
await call('transferFeeInfo', () => api.Info.transferFeeInfo(mine, header));
await call('transferHistory', () => api.Transaction.transferHistory({ ...mine, auth }));
await call('withdrawHistory', () => api.Transaction.withdrawHistory({ ...mine, auth }));

// Transactions are signed over their bytes, so those have to arrive as they were sent. A nonce counts once.
const next = async () => Number((await api.Transaction.nextNonce({ ...mine, api_key_index: 9 })).nonce);
const signed = (nonce) => JSON.stringify({ AccountIndex: account, ApiKeyIndex: 9, Nonce: nonce, Memo: 'ä&=+ %41 \u0001"' });
let nonce = 1;
await call('a nonce to begin with', async () => (nonce = await next()) > 0);
await call('sendTx', async () => (await api.Transaction.sendTx({ tx_type: 14, tx_info: signed(nonce) })).tx_hash === fingerprint(signed(nonce)));
await call('sendTx again', () => api.Transaction.sendTx({ tx_type: 14, tx_info: signed(nonce) }));
const batch = [signed(nonce + 1), signed(nonce + 2)];
await call('sendTxBatch', async () =>
  JSON.stringify((await api.Transaction.sendTxBatch({ tx_types: '[14,15]', tx_infos: JSON.stringify(batch) })).tx_hash) ===
    JSON.stringify(batch.map(fingerprint)));
await call('each nonce counted once', async () => (await next()) === nonce + 3);
report.print();
