/** The HTTP side of the contract: JSON in and out, one error class for every way it can fail. */

const TIMEOUT_MS = 15_000;

/** The message is fit for the reader; `status` is 0 when there was no answer at all. */
export class ApiError extends Error {
	status = 0;
	retryAfterMs = 0;

	/** The same request may succeed later. */
	get passing() {
		return this.status === 0 || this.status >= 500 || [408, 425, 429].includes(this.status);
	}
}

/** @type {Api} */
export const api = {
	conversations: () => call("GET", "/conversations"),
	conversation: (id) => call("GET", `/conversations/${id}`),
	rename: (id, title) => call("PATCH", `/conversations/${id}`, { title }),
	remove: (id) => call("DELETE", `/conversations/${id}`),
	feedback: (method, query, body) => call(method, `/feedback?client_request_id=${query}`, body),
};

/** @param {string} method @param {string} path @param {object} [body] */
async function call(method, path, body) {
	const response = await fetch(path, {
		method,
		headers: { Accept: "application/json", "Content-Type": "application/json" },
		body: body && JSON.stringify(body),
		cache: "no-store",
		keepalive: method !== "GET", // a click just before the tab closes still arrives
		signal: AbortSignal.timeout(TIMEOUT_MS),
	}).catch(() => {
		throw new ApiError("The server could not be reached.");
	});
	const { ok, status, headers } = response;
	const answer = await response.json().catch(() => null);
	if (ok && answer) return answer;
	const message = answer?.error?.message ?? `The server answered with status ${status}.`;
	const retryAfterMs = 1000 * (Number(headers.get("Retry-After")) || 0);
	throw Object.assign(new ApiError(message), { status: ok ? 0 : status, retryAfterMs });
}
