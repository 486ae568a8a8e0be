/**
 * The wire contract as types, and the one place that turns socket text into a frame.
 * Field names are the server's own.
 */

/** @typedef {{type: "start", conversation_id: string, client_request_id: string, seq: number}} StartFrame */
/** @typedef {{type: "token", content: string, client_request_id: string, seq: number}} TokenFrame */
/** @typedef {"stored" | "queued"} TraceState */
/** @typedef {{type: "done", trace_id: string, trace_state: TraceState, finish_reason: string,
 *   html: string, client_request_id: string, seq: number}} DoneFrame */
/** @typedef {{type: "error", code: string, error: string, retryable: boolean,
 *   trace_id?: string | null, trace_state?: TraceState | null,
 *   client_request_id?: string, seq?: number, html?: string}} ErrorFrame */
/** @typedef {StartFrame | TokenFrame | DoneFrame | ErrorFrame} Frame */

/** @typedef {{type: "message", content: string, client_request_id: string,
 *   conversation_id?: string, replaces?: string}} MessageFrame */
/** @typedef {{type: "resume", client_request_id: string, after_seq: number}} ResumeFrame */
/** @typedef {{type: "stop", client_request_id: string}} StopFrame */

/** @typedef {"streaming" | "complete" | "stopped" | "failed" | "interrupted"} Ending */
/** @typedef {{code: string, message: string, retryable: boolean}} TurnError */
/** @typedef {{name: string, value: unknown, rationale?: string | null,
 *   state: "saved" | "recorded" | "refused"}} FeedbackRecord */
/** @typedef {{client_request_id: string, replaces: string | null, question: string,
 *   answer: string, html: string | null,
 *   ending: "running" | "complete" | "stopped" | "failed" | "interrupted",
 *   error: TurnError | null, trace_id: string | null, trace_state: TraceState | null,
 *   finish_reason: string | null, created_at: string, feedback: FeedbackRecord[]}} TurnRecord */
/** @typedef {{id: string, title: string, created_at: string, updated_at: string}} ConversationSummary */
/** @typedef {ConversationSummary & {turns: TurnRecord[]}} ConversationRecord */

/**
 * Read one text message of the socket.
 * @param {unknown} data what the socket delivered
 * @returns {Frame | null} null when it is no frame we know, so that newer servers do not break us
 */
export function readFrame(data) {
  if (typeof data !== "string") return null;
  try {
    const frame = JSON.parse(data);
    const known = ["start", "token", "done", "error"].includes(frame?.type);
    return known ? /** @type {Frame} */ (frame) : null;
  } catch {
    return null;
  }
}

/**
 * A new id for a turn: 34 of the 50 characters the contract allows.
 * Made of getRandomValues because randomUUID is missing on plain-HTTP origins.
 */
export function newRequestId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `c-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
