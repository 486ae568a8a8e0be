// Node's own WebSocket: sends the frames it is given, prints what came and how it was closed.
import { text } from "node:stream/consumers";

const { url, cookie, origin, sent } = JSON.parse(await text(process.stdin));
const socket = new WebSocket(url, { headers: { Cookie: cookie, Origin: origin } });
const received = [];
socket.onopen = () => {
  for (const frame of sent) socket.send(JSON.stringify(frame));
};
socket.onmessage = ({ data }) => {
  received.push(JSON.parse(data));
  const ended = received.filter(({ type }) => type === "done" || type === "error").length;
  if (ended === sent.length) socket.close(1000, "thank you");
};
socket.onerror = ({ message }) => {
  console.error(message);
  process.exitCode = 1;
};
socket.onclose = ({ code, wasClean }) =>
  console.log(JSON.stringify({ received, code, wasClean }));
