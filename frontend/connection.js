/** The socket, which comes back by itself, and the running turns: asked once, then resumed. */
import { api } from "./api.js";
import { find } from "./element.js";
import { show } from "./notice.js";

const FIRST_DELAY_MS = 400;
const LONGEST_DELAY_MS = 15_000;
/** Open this long, a socket was good: the backoff starts anew. */
const GOOD_AFTER_MS = 5_000;
/** A shorter loss is not worth a word. */
const PATIENCE_MS = 1200;
/** A silent socket is suspected after this, while a turn runs. */
const SUSPECT_SILENCE_MS = 30_000;
const LOOK_AGAIN_MS = 2000;

/** @type {Map<string, Turn>} the running ones */
export const turns = new Map();
/** @type {WebSocket | null} */
let socket = null;
let heardAt = 0;
let failures = 0;
let retry = 0;
let worry = 0;

const isOpen = () => socket?.readyState === WebSocket.OPEN;

export function start() {
	window.addEventListener("online", connect);
	document.addEventListener("visibilitychange", wake);
	setInterval(() => {
		const silent = Date.now() - heardAt > SUSPECT_SILENCE_MS;
		if (silent && turns.size && isOpen()) connect();
	}, SUSPECT_SILENCE_MS / 6);
	connect();
}

export function follow(/** @type {Turn} */ turn) {
	if (turns.has(turn.id)) return;
	turns.set(turn.id, turn);
	turn.addEventListener("state", () => turn.running || turns.delete(turn.id));
	heardAt = Date.now();
	begin(turn);
	wake();
}

export function stopTurn(/** @type {Turn} */ turn) {
	if (!turn.stopping) turn.stop();
	send({ type: "stop", client_request_id: turn.id });
}

function wake() {
	if (!socket && !document.hidden) connect();
}

/** The old socket may be dead. */
function connect() {
	clearTimeout(retry);
	const old = socket;
	const fresh = new WebSocket("/ws/chat");
	let openedAt = 0;
	socket = fresh;
	fret();
	fresh.onopen = () => {
		if (fresh !== socket) return;
		openedAt = heardAt = Date.now();
		clearTimeout(worry);
		worry = 0;
		find("#connection").textContent = "";
		for (const turn of turns.values()) begin(turn);
	};
	fresh.onmessage = ({ data }) => {
		if (fresh === socket) receive(JSON.parse(data));
	};
	fresh.onclose = () => {
		if (fresh !== socket) return;
		socket = null;
		if (!openedAt)
			api.conversations().catch(() => {}); // the cookie may be lacking
		else if (Date.now() - openedAt > GOOD_AFTER_MS) failures = 0;
		const longest = Math.min(FIRST_DELAY_MS * 2 ** failures++, LONGEST_DELAY_MS);
		retry = setTimeout(connect, longest * (0.5 + Math.random() / 2));
		fret();
	};
	old?.close();
}

function fret() {
	worry ||= setTimeout(() => {
		find("#connection").textContent = "No connection. Trying to connect…";
	}, PATIENCE_MS);
}

/** Without a socket: said again once there is one. */
function send(/** @type {object} */ frame) {
	if (isOpen()) socket?.send(JSON.stringify(frame));
}

function begin(/** @type {Turn} */ turn) {
	const { id: client_request_id, question: content, replaces } = turn;
	const conversation_id = turn.conversationId;
	if (turn.known) send({ type: "resume", client_request_id, after_seq: turn.seq });
	else send({ type: "message", client_request_id, content, conversation_id, replaces });
	if (turn.stopping) stopTurn(turn);
}

function receive(/** @type {Frame} */ frame) {
	heardAt = Date.now();
	const turn = turns.get(frame.client_request_id ?? "");
	if (frame.type === "error" && frame.seq === undefined) refused(frame, turn);
	else if (turn && !turn.accept(frame)) begin(turn);
}

/** @type {Refused} */
function refused(frame, turn) {
	if (frame.code === "shutting_down")
		connect(); // another server takes the turn up
	else if (turn?.known || (turn && frame.code === "turn_elsewhere")) look(turn);
	else if (turn) turn.end({ ending: "failed", error: { ...frame, message: frame.error } });
	else if (!frame.client_request_id) show(frame.error); // else: the turn has ended
}

/** Its frames are gone: the server's record says how the turn ended. */
async function look(/** @type {Turn} */ turn) {
	const record = await api.conversation(turn.conversationId ?? "").catch(() => null);
	const found = record?.turns.find((each) => each.client_request_id === turn.id);
	const message = "The server does not know this question any more.";
	if (found) turn.settle(found);
	else if (record) turn.end({ ending: "failed", error: { message, retryable: true } });
	if (turn.running) setTimeout(() => turn.running && begin(turn), LOOK_AGAIN_MS);
}
