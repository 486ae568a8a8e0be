/**
 * The text of one answer: Markdown while it streams in, then the server's sanitised rendering.
 * The one place where markup from the server enters the page.
 */
import { blockStarts, build, codeBlock } from "./markdown.js";

/** More new text per refresh would take too long to lay out. */
const CHARACTERS_A_FRAME = 4000;
/** The cost of building times this is left free. */
const REST = 4;
/** A last line that may yet turn out to be a mark. */
const UNDECIDED = /(?:^|\n)[ \t]*(?:#{1,6}|[-*+=_]+|\d{1,3}[.)]?|>|`+|~+|\|[^\n]*)?[ \t]*$/;
const KEPT = ["class", "href", "target", "rel", "start"];
/** Line breaks that mean nothing; streamed blocks have none. */
const BETWEEN_BLOCKS = /\n(?=<\/?(?:[uo]l|li|blockquote|t\w+|p|h\w|pre)\b|$)/g;

/** @param {HTMLElement} root @returns {Render} */
export function proseIn(root) {
	let shown = 0;
	// Finished characters, blocks, and entries of the last block (a list may go on).
	let stable = 0;
	let blocks = 0;
	let entries = 0;
	let notBefore = 0;
	/** @type {Node[] | null} */
	let final = null;

	/** @param {string[]} block @param {string} [next] the line after it, when it is whole */
	function put(block, next) {
		const last = root.children[blocks - 1];
		const nodes = build(block, next, last);
		const [list] = nodes;
		const goesOn = last && /^[uo]l$/.test(last.localName) && list?.localName === last.localName;
		if (goesOn) nodes.shift();
		if (last) sync(last, goesOn && list ? [...list.childNodes] : [], entries);
		sync(root, nodes, blocks);
	}

	function grow(/** @type {string} */ source) {
		const began = performance.now();
		if (began < notBefore) return false;
		shown = Math.min(source.length, shown + CHARACTERS_A_FRAME);
		const lines = source.slice(stable, shown).replace(UNDECIDED, "").split("\n");
		let from = 0;
		for (const start of blockStarts(lines)) {
			const block = lines.slice(from, start);
			put(block, lines[start]);
			stable += block.join("\n").length + 1;
			blocks = root.childNodes.length;
			entries = root.lastChild?.childNodes.length ?? 0;
			from = start;
		}
		put(lines.slice(from));
		notBefore = performance.now() + (performance.now() - began) * REST;
		return shown === source.length;
	}

	return (text, html, deadline) => {
		if (html == null) return grow(text);
		if (!final) blocks = 0;
		final ??= parse(html);
		let characters = 0;
		for (let next = final.shift(); next; next = final.shift()) {
			characters += next.textContent?.length ?? 0;
			const mine = root.childNodes[blocks++];
			if (mine) become(mine, next);
			else root.append(next);
			if (characters > CHARACTERS_A_FRAME || performance.now() > deadline) return false;
		}
		sync(root, [], blocks);
		return true;
	};
}

/** Sanitised again where the browser can, else parsed inertly. */
function parse(/** @type {string} */ html) {
	const clean = html.replace(BETWEEN_BLOCKS, "");
	/** @type {HTMLElement} */
	let holder = document.createElement("div");
	if (holder.setHTML) holder.setHTML(clean, { sanitizer: { attributes: KEPT } });
	else holder = new DOMParser().parseFromString(clean, "text/html").body;
	for (const pre of holder.querySelectorAll("pre")) pre.replaceWith(codeBlock(pre.cloneNode(true)));
	return [...holder.childNodes];
}

/**
 * Children from one on; equal ones stay, so that nothing flickers or loses a selection.
 * @param {Node} parent @param {Node[]} wanted
 */
function sync(parent, wanted, from = 0) {
	for (const [index, next] of wanted.entries()) {
		const mine = parent.childNodes[from + index];
		if (mine) become(mine, next);
		else parent.appendChild(next);
	}
	while (parent.childNodes.length > from + wanted.length) parent.lastChild?.remove();
}

/** @param {ChildNode} mine @param {Node} wanted */
function become(mine, wanted) {
	if (mine.isEqualNode(wanted)) return;
	if (mine instanceof Text && wanted instanceof Text) {
		if (wanted.data.startsWith(mine.data)) mine.appendData(wanted.data.slice(mine.length));
		else mine.data = wanted.data;
	} else if (mine.cloneNode().isEqualNode(wanted.cloneNode())) {
		sync(mine, [...wanted.childNodes]);
	} else {
		mine.replaceWith(wanted);
	}
}
