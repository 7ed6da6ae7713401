import asyncio, websockets, json

async def replay():
    async with websockets.connect("wss://api.hyperlightapi.xyz/ws/replay") as ws:
        # Authenticate
        await ws.send(json.dumps({
            "type": "auth",
            "api_key": "hlt_your_key_here"
        }))
        print(json.loads(await ws.recv()))  # authenticated

        # Start replay: ETH-PERP, 1 hour, 10x speed
        await ws.send(json.dumps({
            "type": "replay",
            "market_id": 0,
            "start": "2026-01-01T00:00:00Z",
            "end": "2026-01-01T01:00:00Z",
            "speed": 10.0
        }))

        async for msg in ws:
            event = json.loads(msg)
            if event["type"] == "replay_event":
                print(f"[{event['event_type']}] {event['data']}")
            elif event["type"] == "replay_complete":
                print(f"Done! {event['events_sent']} events")
                break

asyncio.run(replay())
