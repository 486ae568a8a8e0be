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
/** One part of the list of everything that somebody said; texts are cut. */
type SaidRecord = FeedbackRecord & {
  updated_at: string;
  trace_id: string;
  client_request_id: string;
  conversation_id: string;
  question: string;
  answer: string;
};
/** `next`: where the following page begins. */
type SaidPage = { feedback: SaidRecord[]; next: string | null };
type ForgottenAnswer = { conversations: number; traces: string[]; in_mlflow: "kept" | "deleting" };
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
type Summary = {
  id: string;
  title: string;
  created_at: string;
  updated_at: string;
};
type ConversationRecord = Summary & { turns: TurnRecord[] };

/** What follows never leaves the page. */

/** How a turn ended: what the server's record or the last frame says of it. */
type Outcome = Partial<TurnRecord> & { ending: TurnRecord["ending"] };
/** saved: durable on the server; recorded: in MLflow. */
type FeedbackState = "sending" | "saved" | "recorded" | "retrying" | "refused";
/** What is said under one name. `value` null: withdrawn, or refused the first time. */
/** Shows how far a verdict has come, in words too. */
type Tell = (state: FeedbackState, words: string) => void;
/** Notes what the reader did. */
type Note = (turn: string, name: string) => void;
/** Calls back when another tab has kept or dropped something about a turn. */
type OnOthers = (changed: (turn: string) => void) => void;
type Post = (path: string, body: object) => Promise<FeedbackAnswer>;
type Part = { value: unknown; rationale: string; state: FeedbackState; reason?: string };
/** What the server is to take down under a name; with a `value` of null, to remove. */
type Wish = { key: string; turn: string; name: string; value: unknown; rationale: string };
type Keep = (turn: string, name: string, value: unknown, rationale?: string) => Wish;
/** Draws until the deadline (as of performance.now()); true when nothing is left to draw. */
type Job = (deadline: number) => boolean;
type Turn = import("./turn.js").Turn;
/** `status` is 0 when there was no answer; `passing`: the same request may succeed later. */
type ApiError = Error & { status: number; retryAfterMs: number; passing: boolean };

type Conversation = import("./conversation.js").Conversation;

/** What an earlier page left of a turn. */
type Left = { id?: string; replaces?: string | undefined };
/** Resolves to whether the question was asked. */
type Ask = (question: string, left?: Left) => Promise<boolean>;

type OnTurn = (turn: Turn) => void;
type Changed = (mine: Conversation, turn: Turn) => void;
/** Shows all of it, and goes on to show what is added; `problem` is the ID of a paragraph, or empty. */
type Show = (conversation: Conversation, problem: string, again: OnTurn) => void;
/** Brings in the server's record and shows it, if that is still wanted; resolves to whether one can ask there. */
type Load = (mine: Conversation, id?: string) => Promise<boolean>;
type Merge = (mine: Conversation, id: string) => Promise<void>;
/** Acts on a frame that is no part of a turn's log. */
type Refused = (frame: ErrorFrame, turn?: Turn) => void;
/** Returns what shows another version. */
type ExchangeView = (versions: Turn[], again: OnTurn) => (index: number) => void;
type AnswerView = (turn: Turn, again: OnTurn) => HTMLElement;
/** Returns what to call when the turn has ended. */
type ThumbsOf = (turn: Turn, root: HTMLElement) => () => void;
/** The button shows "Copied" for a moment. */
type Copy = (button: HTMLElement, text: string) => Promise<void>;
type Api = {
  conversations(): Promise<{ conversations: Summary[] }>;
  conversation(id: string): Promise<ConversationRecord>;
  call: Call;
};
/** What the reader says of one turn. */
type Feedback = {
  /** By name, without signals. */
  shown: Map<string, Part>;
  /** Called when `shown` is another: the newest view of the turn sets it. */
  changed(): void;
  /** Take the server's record; what it has not answered yet stays on top. */
  start(records: FeedbackRecord[]): void;
  /** Say it, or with null take it back. */
  say(name: string, value: unknown, rationale?: string): void;
  /** Others may have moved on: send what they left, or ask the server what holds. */
  lookAgain(): void;
  /** Try now what waits to be tried again. */
  wake(): void;
  /** The page is going: send what has waited its turn. */
  flush(): void;
};
/** Shows what `shown` has become. */
type Update = () => void;
/** Makes one part of the panel work, and returns what shows it anew. */
type PartView = (feedback: Feedback, root: HTMLElement) => Update;

/** One answer on the page "My feedback". */
type Card = { node: HTMLElement; take(record: SaidRecord): void };

/** Elements that the pages promise and that are more than an HTMLElement. */
interface Promised {
  "#composer": HTMLFormElement;
  "#question": HTMLTextAreaElement;
  "#send": HTMLButtonElement;
  "#confirm": HTMLDialogElement;
  textarea: HTMLTextAreaElement;
  a: HTMLAnchorElement;
  "h2 a": HTMLAnchorElement;
  time: HTMLTimeElement;
  "#more": HTMLButtonElement;
  button: HTMLButtonElement;
  "button:last-child": HTMLButtonElement;
}
/** An element that the page promises: it is an error when it is not there. */
type Find = <S extends string>(
  selector: S,
  root?: ParentNode,
) => S extends keyof Promised
  ? Promised[S]
  : S extends `template#${string}`
    ? HTMLTemplateElement
    : HTMLElement;
type Make = <K extends keyof HTMLElementTagNameMap>(
  tag: K,
  ...children: (Node | string)[]
) => HTMLElementTagNameMap[K];
/** Shows more: `text` only ever grows, until there is `html`; true when everything is shown. */
type Render = (text: string, html: string | null | undefined, deadline: number) => boolean;
type ProseIn = (root: HTMLElement) => Render;
/** Work in small steps; each tells how much markup of the page it changed. */
type Steps<T = void> = Generator<number, T>;
/** Makes the parent's children, from one on, like those that are wanted. */
type Patch = (parent: Node, wanted: Iterable<Node>, from?: number) => Steps;
/** Makes a node of the page like another. */
type Become = (mine: ChildNode, wanted: Node) => Steps;
/** Has a new node placed, a long one piece by piece. */
type Bring = (wanted: Node, place: (node: Node) => void) => Steps;
/** Puts a block in the last one's place. `next`: the line after it, when it is whole. */
type Put = (block: string[], next?: string) => Steps;
/** `next`: the line after them, where it is whole; `before`: the block before them, for a list may go on. */
type Build = (
  lines: string[],
  next?: string,
  before?: Element,
  depth?: number,
) => Steps<HTMLElement[]>;
/** Appends the text to the parent. `open`: more may follow, an unclosed `**` or backtick counts. */
type Inline = <T extends HTMLElement>(
  parent: T,
  text: string,
  open?: boolean,
  depth?: number,
) => Steps<T>;
/** Not in every browser yet, nor in TypeScript's DOM. */
interface Element {
  setHTML?(html: string, options: object): void;
}
/** How the lines of a block are told, `previous` being the line before. */
type Belongs = (line: string, previous: string) => unknown;

/** A field in place of the row; resolves to the conversation if it was renamed. */
type Rename = (
  item: Summary,
  row: HTMLElement,
) => Promise<Summary | undefined | void>;
/** Asks first; resolves to whether it is deleted. */
type Remove = (item: Summary) => Promise<boolean>;
type Call = (method: string, path: string, body?: object | null, key?: string) => Promise<any>;
/** Where the sign closes what began at `from`; -1 where it does not. */
type Closing = (text: string, sign: string, from: number) => number;
