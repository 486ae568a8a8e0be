/** Finding and building DOM without markup in strings: text always arrives as text. */

/**
 * An element that the page promises.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} selector @param {ParentNode} [root] @param {new () => T} [kind]
 */
export function find(selector, root = document, kind = /** @type {any} */ (HTMLElement)) {
	const found = root.querySelector(selector);
	if (found instanceof kind) return found;
	throw new Error(`The page has no ${selector}.`);
}

/** A new copy of what the template with this id holds. */
export function copyOf(/** @type {string} */ id) {
	const { content } = find(`#${id}`, document, HTMLTemplateElement);
	return find("*", /** @type {DocumentFragment} */ (document.importNode(content, true)));
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {...(Node | string)} children
 */
export function element(tag, ...children) {
	const node = document.createElement(tag);
	node.append(...children);
	return node;
}
