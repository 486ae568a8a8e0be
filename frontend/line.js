/**
 * The socket as a line that comes back by itself: exponential backoff with jitter, at once when
 * the network returns or the tab is looked at. Emits "open", "frame" (detail: Frame) and "state".
 */
import { readFrame } from "./frames.js";

const FIRST_DELAY_MS = 400;
const LONGEST_DELAY_MS = 15_000;
/** A socket that stays open this long was a good one: the next loss starts the backoff anew. */
const GOOD_AFTER_MS = 5_000;

export class Line extends EventTarget {
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {number | undefined} */
  #retry;
  #failures = 0;
  #open;
  #renewIdentity;

  /**
   * @param {() => WebSocket} open makes a new socket
   * @param {() => Promise<unknown>} renewIdentity asks for a cookie after a refused handshake
   */
  constructor(open, renewIdentity) {
    super();
    this.#open = open;
    this.#renewIdentity = renewIdentity;
  }

  /** @returns {"open" | "connecting" | "waiting"} waiting: for the next attempt */
  get state() {
    if (this.#socket?.readyState === WebSocket.OPEN) return "open";
    return this.#socket ? "connecting" : "waiting";
  }

  start() {
    window.addEventListener("online", () => this.restart());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.wake();
    });
    this.#connect();
  }

  /**
   * @param {object} frame
   * @returns {boolean} false when there is no open socket: say it again on "open"
   */
  send(frame) {
    if (this.state !== "open") return false;
    this.#socket?.send(JSON.stringify(frame));
    return true;
  }

  /** Connect now instead of waiting for the next attempt. */
  wake() {
    if (!this.#socket) this.#connect();
  }

  /** Leave this socket, which may be dead, for a new one. */
  restart() {
    const old = this.#socket;
    this.#connect();
    old?.close();
  }

  #connect() {
    clearTimeout(this.#retry);
    const socket = this.#open();
    let openedAt = Number.POSITIVE_INFINITY;
    this.#socket = socket;
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      openedAt = Date.now();
      this.#tell("open");
      this.#tell("state");
    };
    socket.onmessage = ({ data }) => {
      const frame = readFrame(data);
      if (frame && socket === this.#socket) this.#tell("frame", frame);
    };
    socket.onclose = () => {
      if (socket !== this.#socket) return;
      this.#socket = null;
      if (openedAt === Number.POSITIVE_INFINITY) this.#renewIdentity().catch(() => {});
      if (Date.now() - openedAt > GOOD_AFTER_MS) this.#failures = 0;
      const longest = Math.min(FIRST_DELAY_MS * 2 ** this.#failures++, LONGEST_DELAY_MS);
      this.#retry = window.setTimeout(() => this.#connect(), longest * (0.5 + Math.random() / 2));
      this.#tell("state");
    };
    this.#tell("state");
  }

  /**
   * @param {string} name
   * @param {unknown} [detail]
   */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
