/** The HTTP side of the contract: JSON in and out, one error class for every way it can fail. */

const TIMEOUT_MS = 15_000;

/** @type {Api} */
export const api = {
	conversations: () => call("GET", "/conversations"),
	conversation: (id) => call("GET", `/conversations/${id}`),
	rename: (id, title) => call("PATCH", `/conversations/${id}`, { title }),
	remove: (id) => call("DELETE", `/conversations/${id}`),
	feedback: (method, query, body) => call(method, `/feedback?client_request_id=${query}`, body),
};

/** @type {Call} */
async function call(method, path, body) {
	const response = await fetch(path, {
		method,
		headers: { Accept: "application/json", "Content-Type": "application/json" },
		body: body && JSON.stringify(body),
		cache: "no-store",
		keepalive: method !== "GET", // a click just before the tab closes still arrives
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
