/**
 * The text of one answer: Markdown while it streams in, then the server's sanitised rendering.
 * The one place where markup from the server enters the page.
 */
import { signpost } from "./inline.js";
import { blockStarts, build, codeBlock } from "./markdown.js";
import { patch } from "./patch.js";

/** More new markup per refresh would take too long to lay out. */
const MARKUP_A_FRAME = 10_000;
/** A last line that may yet turn out to be a mark. */
const UNDECIDED = /(?:^|\n)[ \t]*(?:#{1,6}|[-*+=_]+|\d{1,3}[.)]?|>|`+|~+|\|[^\n]*)?[ \t]*$/;
const KEPT = ["class", "href", "target", "rel", "start"];
/** Would make text read otherwise than it is. */
const REORDERING = /[\u202a-\u202e\u2066-\u2069]/g;
/** Line breaks that mean nothing; streamed blocks have none. */
const BETWEEN_BLOCKS = /\n(?=<\/?(?:[uo]l|li|blockquote|t\w+|p|h\w|pre)\b|$)/g;

/** @type {ProseIn} */
export function proseIn(root) {
	let shown = 0;
	// Finished characters, blocks, and entries of the last block (a list may go on).
	let stable = 0;
	let blocks = 0;
	let entries = 0;
	let final = false;
	let work = grow("");

	/** @type {Put} */
	function* put(block, next) {
		const last = root.children[blocks - 1];
		const nodes = yield* build(block, next, last);
		const list = /^[uo]l$/.test(last?.localName ?? "") && nodes[0]?.localName === last?.localName;
		const more = list && nodes.shift();
		if (last) yield* patch(last, more ? more.childNodes : [], entries);
		yield* patch(root, nodes, blocks);
	}

	function* grow(/** @type {string} */ source) {
		shown = source.length;
		const text = source.replace(REORDERING, "");
		const lines = text.slice(stable).replace(UNDECIDED, "").split("\n");
		let from = 0;
		for (const start of blockStarts(lines)) {
			const block = lines.slice(from, start);
			yield* put(block, lines[start]);
			stable += block.join("\n").length + 1;
			blocks = root.childNodes.length;
			entries = root.lastChild?.childNodes.length ?? 0;
			from = start;
		}
		yield* put(lines.slice(from));
	}

	return (text, html, deadline) => {
		if (html != null && !final) {
			final = true;
			work = patch(root, parse(html));
		}
		for (let left = MARKUP_A_FRAME; left > 0 && performance.now() < deadline; ) {
			const { done, value } = work.next();
			if (!done) left -= value;
			else if (final || shown === text.length) return true;
			else work = grow(text);
		}
		return false;
	};
}

/** Sanitised again where the browser can, else parsed inertly. */
function parse(/** @type {string} */ html) {
	const clean = html.replace(BETWEEN_BLOCKS, "");
	/** @type {HTMLElement} */
	let holder = document.createElement("div");
	if (holder.setHTML) holder.setHTML(clean, { sanitizer: { attributes: KEPT } });
	else holder = new DOMParser().parseFromString(clean, "text/html").body;
	for (const link of holder.querySelectorAll("a")) signpost(link);
	for (const pre of holder.querySelectorAll("pre")) pre.replaceWith(codeBlock(pre.cloneNode(true)));
	return [...holder.childNodes];
}
