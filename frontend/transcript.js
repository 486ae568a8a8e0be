/** The open conversation on the page: its exchanges, or the welcome. */
import { answerView } from "./answer_view.js";
import { copyOf, find } from "./element.js";
import { toEnd } from "./scroll.js";

const log = find("#transcript");
/** @type {Map<Turn[], (index: number) => void>} shows a version of the exchange */
const shown = new Map();

/** @type {Show} */
export function show(conversation, problem, again) {
	shown.clear();
	log.replaceChildren();
	conversation.added = (exchange) => {
		const version = shown.get(exchange);
		if (version) return version(exchange.length - 1);
		shown.set(exchange, exchangeView(exchange, again));
		tell("");
	};
	for (const exchange of conversation.exchanges) conversation.added(exchange);
	tell(problem);
}

function tell(/** @type {string} */ problem) {
	for (const id of ["unknown", "not-loaded"]) find(`#${id}`).hidden = id !== problem;
	find("#welcome").hidden = Boolean(problem || shown.size);
	toEnd();
}

/** @type {ExchangeView} */
function exchangeView(versions, again) {
	const node = copyOf("exchange");
	const choice = copyOf("version-switch");
	const earlier = find("button", choice);
	const later = find("button:last-child", choice);
	/** @type {Map<Turn, HTMLElement>} kept, so that each keeps its state */
	const answers = new Map();
	let current = 0;
	const version = (/** @type {number} */ index) => {
		const turn = versions[index];
		const last = versions.length - 1;
		if (!turn) return;
		current = index;
		const answer = answers.get(turn) ?? answerView(turn, again);
		answers.set(turn, answer);
		const focused = choice.contains(document.activeElement);
		node.querySelector(".answer")?.remove();
		node.append(answer);
		if (last === 0) return;
		find(".actions", answer).append(choice);
		find("span", choice).textContent = `${index + 1} of ${last + 1}`;
		earlier.disabled = index === 0;
		later.disabled = index === last;
		if (focused) (index === 0 ? later : earlier).focus();
	};
	earlier.onclick = () => version(current - 1);
	later.onclick = () => version(current + 1);
	find(".question", node).textContent = versions[0]?.question ?? "";
	log.append(node);
	version(versions.length - 1);
	return version;
}
