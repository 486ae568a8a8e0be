// The insights page's buttons: send an answer to review, or make it a question of a dataset.

const AGAIN = "Pressing again is safe: nothing is added twice.";

/**
 * Do one thing with the answer of a card, and say truthfully how it went.
 *
 * The button is never disabled, which would lose the focus.
 *
 * @param {HTMLElement} card
 * @param {HTMLButtonElement} button
 */
async function act(card, button) {
	if (button.ariaDisabled === "true") return;
	const state = /** @type {HTMLElement} */ (card.querySelector(".state"));
	const review = button.dataset.act === "review";
	const input = /** @type {HTMLInputElement} */ (document.getElementById("dataset"));
	const name = input.value.trim();
	/** @type {Record<string, string>} */
	const body = { trace_id: card.dataset.traceId ?? "" };
	if (!review) body.name = name;
	button.ariaDisabled = "true";
	say(state, review ? "Sending…" : "Adding…");
	try {
		const done = await post(review ? "/insights/review" : "/insights/dataset", body);
		if (review) button.textContent = "In review";
		say(state, done.message, done.link);
		button.ariaDisabled = String(review);
	} catch (error) {
		button.ariaDisabled = "false";
		say(state, error instanceof Error ? error.message : String(error));
		state.classList.add("bad");
	}
}

/**
 * @param {HTMLElement} state
 * @param {string} text
 * @param {string} [link]
 */
function say(state, text, link) {
	state.classList.remove("bad");
	state.textContent = text;
	if (!link) return;
	const anchor = document.createElement("a");
	anchor.href = link;
	anchor.target = "_blank";
	anchor.rel = "noopener";
	anchor.textContent = "Open in MLflow";
	state.append(" ", anchor);
}

/**
 * @param {string} path
 * @param {Record<string, string>} body
 * @returns {Promise<{message: string, link: string}>} what was done; rejects with what went wrong
 */
async function post(path, body) {
	const response = await fetch(path, {
		method: "POST",
		headers: { "Content-Type": "application/json" },
		body: JSON.stringify(body),
	}).catch(() => null);
	// Without an answer nobody knows whether it was done.
	if (!response) throw new Error(`No answer came from the server. ${AGAIN}`);
	const answer = await response.json().catch(() => null);
	if (!response.ok)
		throw new Error(answer?.error?.message ?? `The server answered ${response.status}.`);
	// A proxy's sign-in page, say: whatever it is, the app has not said that it was done.
	if (!answer?.message) throw new Error(`The app did not confirm it. ${AGAIN}`);
	return answer;
}

for (const element of document.querySelectorAll("[data-act], .dataset")) {
	element.removeAttribute("hidden");
}
document.addEventListener("click", (event) => {
	const pressed = event.target instanceof Element ? event.target.closest("[data-act]") : null;
	const card = pressed?.closest(".card");
	if (pressed instanceof HTMLButtonElement && card instanceof HTMLElement) act(card, pressed);
});
