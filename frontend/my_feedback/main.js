/** "My feedback": a page at a time, one card for each answer. */
import { api } from "../api.js";
import { find } from "../element.js";
import { feedbackOf } from "../feedback/feedback.js";
import { say } from "../notice.js";
import * as unsent from "../unsent.js";
import { cardOf } from "./card.js";
import "./forget.js";

const list = find("#cards");
const more = find("#more");
/** @type {Map<string, Card>} by turn */
const cards = new Map();
/** @type {string | null} */
let next = null;

async function load() {
	const query = next ? `?before=${encodeURIComponent(next)}` : "";
	const loading = find("#loading");
	const notice = find("#notice");
	notice.hidden = true;
	try {
		/** @type {SaidPage} */
		const page = await api.call("GET", `/feedback/mine${query}`);
		const first = page.feedback.find((record) => !cards.has(record.client_request_id));
		for (const record of page.feedback) add(record);
		next = page.next;
		const focused = document.activeElement === more;
		more.hidden = next === null;
		more.textContent = "Show more";
		if (focused && first) cards.get(first.client_request_id)?.node.querySelector("a")?.focus();
		if (query) say(`${cards.size} answers shown.`);
	} catch (error) {
		notice.textContent = /** @type {Error} */ (error).message;
		notice.hidden = more.hidden = false;
		more.textContent = "Try again";
		say(notice.textContent);
	}
	loading.hidden = true;
	find("#empty").hidden = cards.size > 0 || !more.hidden;
}

function add(/** @type {SaidRecord} */ record) {
	const { client_request_id: turn } = record;
	const card = cards.get(turn) ?? cardOf(record);
	if (!cards.has(turn)) list.append(card.node);
	cards.set(turn, card);
	card.take(record);
}

/** A first verdict that was not sent yet is on no list of the server's. */
function mindUnsent() {
	const said = unsent.all().filter(({ name }) => !name.startsWith("implicit_"));
	const turns = new Set(said.map(({ turn }) => turn));
	const line = find("#unsent");
	line.hidden = !turns.size;
	for (const turn of turns)
		if (!cards.has(turn))
			feedbackOf(turn).changed = () => {
				if (unsent.of(turn).length) return;
				line.hidden = true;
				if (!cards.has(turn)) location.reload();
			};
}

more.onclick = load;
load().then(mindUnsent);
