// Node 20 has no WebSocket of its own, which browsers and later versions have: node --import ./websocket.mjs EXAMPLE.js
import { WebSocket } from 'ws';

globalThis.WebSocket = WebSocket;
