/** What the reader said and the server has not answered yet: kept in this browser, oldest first. */
import { api } from "./api.js";

export const THUMB = "user_feedback";
export const CORRECTION = "expected_response";
const PREFIX = "thumbprint.unsent.";
/** @type {Map<string, Wish>} what the browser would not store: it lives as long as the page */
const unstored = new Map();
/** @type {Map<string, Promise<FeedbackAnswer>>} by key: not yet answered, or answered well */
const sent = new Map();
let last = 0;

/** Keys sort by time. */
function newKey() {
	last = Math.max(last + 1, Date.now());
	return `${last.toString(36)}-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
}

/** @type {Keep} */
export function keep(turn, name, value, rationale = "") {
	const wish = { key: newKey(), turn, name, value, rationale };
	try {
		localStorage.setItem(PREFIX + wish.key, JSON.stringify(wish));
	} catch {
		unstored.set(wish.key, wish);
	}
	return wish;
}

export function drop(/** @type {string} */ key) {
	unstored.delete(key);
	sent.delete(key);
	localStorage.removeItem(PREFIX + key);
}

/** @returns {Wish[]} */
export function all() {
	const keys = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
	const stored = keys.sort().map((key) => JSON.parse(localStorage.getItem(key) ?? ""));
	return [...stored, ...unstored.values()];
}

export function of(/** @type {string} */ turn) {
	return all().filter((wish) => wish.turn === turn);
}

/** However often a wish is sent, under its key it is applied once. */
export function send(/** @type {Wish} */ wish) {
	const { key, turn, name, value, rationale } = wish;
	const query = `?client_request_id=${turn}`;
	/** @type {Post} */
	const post = (path, body) => api.call("POST", path + query, body, key);
	let answer = sent.get(key);
	if (answer) return answer;
	if (value === null)
		answer = api.call("DELETE", `/feedback${query}&name=${encodeURIComponent(name)}`, null, key);
	else if (name === CORRECTION) answer = post("/correction", { expected_response: value });
	else answer = post("/feedback", { name, value, rationale });
	sent.set(key, answer);
	answer.catch(() => sent.delete(key));
	return answer;
}

/** @type {Note} Nobody waits for it, so it is sent and forgotten. */
export function note(turn, name) {
	const wish = keep(turn, name, true);
	send(wish).then(
		() => drop(wish.key),
		({ passing }) => passing || drop(wish.key),
	);
}

/** @type {OnOthers} */
export function onOthers(changed) {
	window.addEventListener("storage", ({ key, oldValue, newValue }) => {
		if (key?.startsWith(PREFIX)) changed(JSON.parse(newValue ?? oldValue ?? "").turn);
	});
}

window.addEventListener("storage", ({ key }) => {
	if (key !== "thumbprint.forgotten") return; // in another tab
	sessionStorage.clear();
	location.replace("/");
});
