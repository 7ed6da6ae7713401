const ws = new WebSocket("wss://api.hyperlightapi.xyz/ws/replay");

ws.onopen = () => {
  ws.send(JSON.stringify({
    type: "auth",
    api_key: "hlt_your_key_here",
  }));
};

ws.onmessage = (event) => {
  const msg = JSON.parse(event.data);

  if (msg.type === "authenticated") {
    console.log(msg);
    // Start replay: ETH-PERP, 1 hour, 10x speed
    ws.send(JSON.stringify({
      type: "replay",
      market_id: 0,
      start: "2026-01-01T00:00:00Z",
      end: "2026-01-01T01:00:00Z",
      speed: 10.0,
    }));
  } else if (msg.type === "replay_event") {
    console.log(`[${msg.event_type}]`, JSON.stringify(msg.data));
  } else if (msg.type === "replay_complete") {
    console.log(`Done! ${msg.events_sent} events`);
    ws.close();
  }
};
