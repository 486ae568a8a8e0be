/** Finding and building DOM without markup in strings: text always arrives as text. */

/** @type {Find} */
export function find(selector, root = document) {
	const found = root.querySelector(selector);
	if (found) return /** @type {any} */ (found);
	throw new Error(`The page has no ${selector}.`);
}

export function copyOf(/** @type {string} */ id) {
	const { content } = find(`template#${id}`);
	return find("*", document.importNode(content, true));
}

/** @type {Make} */
export function element(tag, ...children) {
	const node = document.createElement(tag);
	node.append(...children);
	return node;
}
