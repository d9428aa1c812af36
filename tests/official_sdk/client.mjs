// One official SDK instance, driven over standard input and output by JSON lines.
//
//   in   {"id": 1, "call": "login", "args": [...]}
//   out  {"id": 1, "ok": result} | {"id": 1, "error": {...}} | {"event": "OnRecvNewMessages", "data": ...}
//
// The SDK is unmodified; Node only lacks the browser's WebSocket that hands over ArrayBuffers.
import readline from "node:readline";
import WS from "ws";

class BrowserLikeWebSocket extends WS {
  constructor(address, protocols) {
    super(address, protocols);
    this.binaryType = "arraybuffer";
  }
}
globalThis.WebSocket = BrowserLikeWebSocket;
for (const level of ["log", "info", "debug", "warn", "error"]) {
  console[level] = (...parts) => process.stderr.write(parts.map(String).join(" ") + "\n");
}

const { getSDK, CbEvents } = await import("@openim/client-sdk");
const sdk = getSDK();

function say(message) {
  process.stdout.write(JSON.stringify(message) + "\n");
}

for (const event of Object.values(CbEvents)) {
  sdk.on(event, (data) => say({ event, data: data?.data ?? null, errCode: data?.errCode ?? 0 }));
}

process.on("unhandledRejection", (reason) =>
  say({ event: "unhandledRejection", data: String(reason?.errMsg ?? reason) }),
);

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const { id, call, args } = JSON.parse(line);
  try {
    const result = await sdk[call](...args);
    say({ id, ok: result ?? null });
  } catch (error) {
    say({ id, error: { errCode: error?.errCode ?? -1, errMsg: String(error?.errMsg ?? error) } });
  }
});
process.stdin.on("end", () => process.exit(0));
say({ event: "ready", data: null });
