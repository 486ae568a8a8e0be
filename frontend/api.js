/** The HTTP side of the contract: JSON in and out, one error class for every way it can fail. */

const TIMEOUT_MS = 15_000;
/** Browsers let at most 64 KiB outlive a page; a character takes up to three bytes. */
const MOST_KEPT_ALIVE = 20_000;

/** @type {Api} */
export const api = {
	conversations: () => call("GET", "/conversations"),
	conversation: (id) => call("GET", `/conversations/${id}`),
	call,
};

/** @type {Call} */
async function call(method, path, content, key) {
	const body = content && JSON.stringify(content);
	const json = { Accept: "application/json", "Content-Type": "application/json" };
	const response = await fetch(path, {
		method,
		headers: { ...json, ...(key && { "Idempotency-Key": key }) },
		body,
		cache: "no-store",
		// A click just before the tab closes still arrives.
		keepalive: method !== "GET" && (body?.length ?? 0) < MOST_KEPT_ALIVE,
		signal: AbortSignal.timeout(TIMEOUT_MS),
	}).catch(() => {
		throw failure("The server could not be reached.");
	});
	const { ok, status, headers } = response;
	const answer = await response.json().catch(() => null);
	if (ok && answer) return answer;
	const message = answer?.error?.message ?? `The server answered with status ${status}.`;
	throw failure(message, ok ? 0 : status, Number(headers.get("Retry-After")) * 1000 || 0);
}

/** @returns {ApiError} whose message is fit for the reader */
function failure(message = "", status = 0, retryAfterMs = 0) {
	const passing = !status || status >= 500 || [408, 425, 429].includes(status);
	return Object.assign(new Error(message), { status, retryAfterMs, passing });
}
