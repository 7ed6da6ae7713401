const ws = new WebSocket("wss://api.hyperlightapi.xyz/ws");

ws.onopen = () => {
  ws.send(JSON.stringify({
    type: "auth",
    api_key: "hlt_your_key_here",
  }));
};

ws.onmessage = (event) => {
  const msg = JSON.parse(event.data);

  if (msg.type === "authenticated") {
    console.log("Tier:", msg.tier);
    // Subscribe to ETH-PERP orderbook
    ws.send(JSON.stringify({
      type: "subscribe",
      channel: "order_book/0",
    }));
  } else if (msg.type === "data") {
    console.log(`[${msg.channel}]`, msg.data);
  }
};
