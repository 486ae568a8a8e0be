/** The course of a visit: which conversation is open, and what happens when something is asked. */
import { api } from "./api.js";
import * as composer from "./composer.js";
import { stopTurn } from "./connection.js";
import { Conversation } from "./conversation.js";
import * as list from "./conversation_list.js";
import { openId, settle } from "./router.js";
import { show } from "./transcript.js";

let conversation = new Conversation();

function again(/** @type {Turn} */ turn) {
	conversation.again(turn);
	composer.focus();
}

export function start() {
	composer.start({ ask, stop });
	window.addEventListener("popstate", open);
	document.addEventListener("visibilitychange", () => document.hidden || refresh());
	list.load();
	open();
}

export function ask(/** @type {string} */ question) {
	conversation.ask(question);
}

/** @returns whether there was anything to stop */
export function stop() {
	const turn = conversation.running;
	if (turn) stopTurn(turn);
	return turn !== undefined;
}

async function open() {
	const id = openId();
	if (id && id === conversation.id) return;
	const mine = new Conversation();
	conversation = mine;
	mine.changed = () => changed(mine);
	composer.showRunning(false);
	composer.turnTo(id);
	list.select(id);
	let problem = "";
	try {
		if (id) await merge(mine, id);
	} catch (error) {
		const { status } = /** @type {ApiError} */ (error);
		problem = [403, 404].includes(status)
			? "There is no such conversation here. Ask something to begin a new one."
			: "This conversation could not be loaded. Reload the page to try again.";
	}
	if (mine !== conversation) return;
	show(mine, problem, again);
	document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

/** @param {Conversation} mine @param {string} id */
async function merge(mine, id) {
	const record = await api.conversation(id);
	if (mine === conversation) mine.merge(record);
}

function changed(/** @type {Conversation} */ mine) {
	list.load();
	if (mine !== conversation) return;
	composer.showRunning(mine.running !== undefined);
	if (!mine.id) return;
	settle(mine.id);
	list.select(mine.id);
}

/** Other tabs and devices may have moved on. */
function refresh() {
	const { id, running } = conversation;
	list.load();
	if (id && !running) merge(conversation, id).catch(() => {});
}
