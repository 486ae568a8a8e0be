/** The address bar: `/` is a new conversation, `/c/<id>` an old one; changes are a "popstate". */

/** The conversation's id, none for a new one. */
export const openId = () => /^\/c\/([^/]+)$/.exec(location.pathname)?.[1];

export function go(/** @type {string} */ path) {
	if (path !== location.pathname) history.pushState(null, "", path);
	window.dispatchEvent(new PopStateEvent("popstate"));
}

/** The new conversation on this page got its id. */
export function settle(/** @type {string} */ id) {
	if (openId() !== id) history.replaceState(null, "", `/c/${id}`);
}

export function followLinks() {
	document.addEventListener("click", (event) => {
		const link = event.target instanceof Element ? event.target.closest("a") : null;
		if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
		if (!link || link.target || link.hash || link.origin !== location.origin) return;
		if (!/^\/(c\/.*)?$/.test(link.pathname)) return;
		event.preventDefault();
		go(link.pathname);
	});
}
