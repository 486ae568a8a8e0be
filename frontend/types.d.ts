/** Shapes shared by the modules. First the wire contract, in the server's own names. */

type StartFrame = { type: "start"; conversation_id: string } & Place;
type TokenFrame = { type: "token"; content: string } & Place;
type DoneFrame = {
  type: "done";
  trace_id: string;
  trace_state: TraceState;
  finish_reason: string;
  html: string;
} & Place;
/** Without `seq` it is no part of a turn's log: something was refused. */
type ErrorFrame = {
  type: "error";
  code: string;
  error: string;
  retryable: boolean;
  trace_id?: string | null;
  trace_state?: TraceState | null;
  html?: string;
} & Partial<Place>;
type Frame = StartFrame | TokenFrame | DoneFrame | ErrorFrame;
type Place = { client_request_id: string; seq: number };
type TraceState = "stored" | "queued";

type TurnError = { code?: string; message: string; retryable: boolean };
type FeedbackRecord = {
  name: string;
  value: unknown;
  rationale?: string | null;
  state: "saved" | "recorded" | "refused";
};
type FeedbackAnswer = { status: string; feedback: FeedbackRecord[] };
type TurnRecord = {
  client_request_id: string;
  replaces: string | null;
  question: string;
  answer: string;
  html: string | null;
  ending: "running" | "complete" | "stopped" | "failed" | "interrupted";
  error: TurnError | null;
  trace_id: string | null;
  trace_state: TraceState | null;
  finish_reason: string | null;
  created_at: string;
  feedback: FeedbackRecord[];
};
type ConversationSummary = {
  id: string;
  title: string;
  created_at: string;
  updated_at: string;
};
type ConversationRecord = ConversationSummary & { turns: TurnRecord[] };

/** What follows never leaves the page. */

/** How a turn ended: what the server's record or the last frame says of it. */
type Outcome = Partial<TurnRecord> & { ending: TurnRecord["ending"] };
/** `value` null: no thumb, or withdrawn. */
type Verdict = { value: boolean | null; comment: string };
/** saved: durable on the server; recorded: in MLflow. */
type FeedbackState = "idle" | "sending" | "saved" | "recorded" | "retrying" | "refused";
/** `reason`: why it was refused. */
type ShownVerdict = Verdict & { state: FeedbackState; reason?: string };
/** Draws until the deadline (as of performance.now()); true when nothing is left to draw. */
type Job = (deadline: number) => boolean;
type Turn = import("./turn.js").Turn;
type ApiError = import("./api.js").ApiError;

type Conversation = import("./conversation.js").Conversation;

