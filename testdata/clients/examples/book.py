import asyncio
import websockets
import json

async def follow():
    bids, asks, nonce = {}, {}, None
    async with websockets.connect("wss://api.hyperlightapi.xyz/ws") as ws:
        # Authenticate
        await ws.send(json.dumps({
            "type": "auth",
            "api_key": "hlt_your_key_here"
        }))
        auth_resp = json.loads(await ws.recv())
        print(f"Authenticated: tier={auth_resp['tier']}")

        # Subscribe to the ETH-PERP orderbook and trades
        for channel in ("order_book/0", "trade/0"):
            await ws.send(json.dumps({"type": "subscribe", "channel": channel}))

        async for msg in ws:
            data = json.loads(msg)
            if data["type"] == "trade_update":
                trade = data["trade"]
                print(f"trade {trade['trade_id']} {trade['price']} {trade['size']}")
            elif data["type"] == "order_book_update":
                book = data["order_book"]
                if data["snapshot"]:
                    # The whole book: whatever we had is void
                    bids, asks = {}, {}
                elif book["begin_nonce"] != nonce:
                    raise RuntimeError(f"hole between {nonce} and {book['begin_nonce']}")
                nonce = book["nonce"]
                for side, changes in ((bids, book["bids"]), (asks, book["asks"])):
                    for level in changes:
                        if float(level["size"]) == 0:
                            side.pop(level["price"], None)
                        else:
                            side[level["price"]] = level["size"]
                bid, ask = max(bids, key=float), min(asks, key=float)
                print(f"book {nonce} {bids[bid]}@{bid} {asks[ask]}@{ask} {len(bids)} {len(asks)}")

asyncio.run(follow())
