import asyncio
import websockets
import json

async def stream():
    async with websockets.connect("wss://api.hyperlightapi.xyz/ws") as ws:
        # Authenticate
        await ws.send(json.dumps({
            "type": "auth",
            "api_key": "hlt_your_key_here"
        }))
        auth_resp = json.loads(await ws.recv())
        print(f"Authenticated: tier={auth_resp['tier']}")

        # Subscribe to ETH-PERP orderbook
        await ws.send(json.dumps({
            "type": "subscribe",
            "channel": "order_book/0"
        }))

        # Listen for updates
        async for msg in ws:
            data = json.loads(msg)
            if data.get("type") == "data":
                print(f"[{data['channel']}]", data["data"])

asyncio.run(stream())
