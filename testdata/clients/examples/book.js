const ws = new WebSocket("wss://api.hyperlightapi.xyz/ws");

const bids = new Map(), asks = new Map();
let nonce;

const best = (side, better) =>
  [...side.keys()].reduce((a, b) => (better(Number(b), Number(a)) ? b : a));

ws.onopen = () => {
  ws.send(JSON.stringify({
    type: "auth",
    api_key: "hlt_your_key_here",
  }));
};

ws.onmessage = (event) => {
  const msg = JSON.parse(event.data);

  if (msg.type === "authenticated") {
    console.log(`Authenticated: tier=${msg.tier}`);
    // Subscribe to the ETH-PERP orderbook and trades
    for (const channel of ["order_book/0", "trade/0"]) {
      ws.send(JSON.stringify({ type: "subscribe", channel }));
    }
  } else if (msg.type === "trade_update") {
    console.log(`trade ${msg.trade.trade_id} ${msg.trade.price} ${msg.trade.size}`);
  } else if (msg.type === "order_book_update") {
    const book = msg.order_book;
    if (msg.snapshot) {
      // The whole book: whatever we had is void
      bids.clear();
      asks.clear();
    } else if (book.begin_nonce !== nonce) {
      throw new Error(`hole between ${nonce} and ${book.begin_nonce}`);
    }
    nonce = book.nonce;
    for (const [side, changes] of [[bids, book.bids], [asks, book.asks]]) {
      for (const { price, size } of changes) {
        if (Number(size) === 0) side.delete(price);
        else side.set(price, size);
      }
    }
    const bid = best(bids, (a, b) => a > b), ask = best(asks, (a, b) => a < b);
    console.log(`book ${nonce} ${bids.get(bid)}@${bid} ${asks.get(ask)}@${ask} ${bids.size} ${asks.size}`);
  }
};
