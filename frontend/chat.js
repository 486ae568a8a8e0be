/** The course of a visit: which conversation is open, and what happens when something is asked. */
import { api } from "./api.js";
import * as composer from "./composer.js";
import { stopTurn } from "./connection.js";
import { Conversation } from "./conversation.js";
import * as list from "./conversation_list.js";
import { paint } from "./painter.js";
import { openId, settle } from "./router.js";
import { toTarget } from "./scroll.js";
import { show } from "./transcript.js";

/** Where a turn is kept while the server may not know it. */
const UNTAKEN = "thumbprint.untaken";
const untaken = () => sessionStorage.getItem(UNTAKEN) ?? "{}";
const forget = () => sessionStorage.removeItem(UNTAKEN);
let conversation = new Conversation();
/** Whether it is there to ask in. */
let ready = Promise.resolve(true);

export function start() {
	composer.start({ ask, stop });
	window.addEventListener("popstate", open);
	document.addEventListener("visibilitychange", () => document.hidden || refresh());
	list.load();
	const { question, conversationId, ...left } = JSON.parse(untaken());
	open();
	if (question && conversationId === openId()) ask(question, left);
}

/** @type {Ask} waits until the conversation is there */
export async function ask(question, left) {
	const mine = conversation;
	composer.focus();
	const asked = (await ready) && mine === conversation && !mine.running;
	if (asked) mine.ask(question, left);
	return asked;
}

/** @returns whether there was anything to stop */
export function stop() {
	const turn = conversation.running;
	if (turn) stopTurn(turn);
	return turn !== undefined;
}

function open() {
	const id = openId();
	if (id && id === conversation.id) return;
	if (conversation.exchanges.length && !conversation.running) forget();
	conversation = new Conversation();
	composer.turnTo();
	composer.showRunning(false);
	list.select(id);
	ready = load(conversation, id);
}

/** @type {Load} */
async function load(mine, id) {
	let problem = "";
	mine.changed = (turn) => changed(mine, turn);
	try {
		if (id) await merge(mine, id);
	} catch (error) {
		const { status } = /** @type {ApiError} */ (error);
		problem = [403, 404].includes(status) ? "unknown" : "not-loaded";
	}
	if (mine !== conversation) return false;
	show(mine, problem, (turn) => {
		mine.again(turn);
		composer.focus();
	});
	paint(toTarget); // after the answers
	return problem !== "not-loaded";
}

/** @type {Merge} */
async function merge(mine, id) {
	const record = await api.conversation(id);
	if (mine === conversation) mine.merge(record);
}

/** @type {Changed} */
function changed(mine, turn) {
	list.load();
	const over = turn.known || turn.stopping;
	if (over && untaken().includes(turn.id)) forget();
	if (!over && turn.running) sessionStorage.setItem(UNTAKEN, JSON.stringify(turn));
	if (mine !== conversation) return;
	if (mine.id) settle(mine.id);
	list.select(mine.id);
	composer.showRunning(mine.running !== undefined);
}

/** Other tabs and devices may have moved on. */
function refresh() {
	const { id, running } = conversation;
	list.load();
	if (id && !running) merge(conversation, id).catch(() => {});
}
