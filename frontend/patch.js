/**
 * Makes nodes of the page like others, in small steps: a whole table at once would take too long to
 * lay out. What is equal stays, so that nothing flickers or loses a selection.
 */

/** Markup longer than this is brought in piece by piece. */
const PIECE = 1000;

/** @type {Patch} */
export function* patch(parent, wanted, from = 0) {
	let mine = parent.childNodes[from] ?? null;
	for (const next of [...wanted]) {
		const after = mine?.nextSibling ?? null;
		if (!mine) yield* bring(next, (node) => parent.appendChild(node));
		else if (!mine.isEqualNode(next)) yield* become(mine, next);
		else yield 0;
		mine = after;
	}
	while (mine) {
		const after = mine.nextSibling;
		mine.remove();
		mine = after;
	}
}

/** @type {Become} */
function* become(mine, wanted) {
	if (mine instanceof Text && wanted instanceof Text) {
		if (wanted.data.startsWith(mine.data)) mine.appendData(wanted.data.slice(mine.length));
		else mine.data = wanted.data;
		yield wanted.length;
	} else if (mine.cloneNode().isEqualNode(wanted.cloneNode())) {
		yield* patch(mine, wanted.childNodes);
	} else {
		yield* bring(wanted, (node) => mine.replaceWith(node));
	}
}

/** @type {Bring} */
function* bring(wanted, place) {
	const { length } = wanted instanceof Element ? wanted.outerHTML : (wanted.textContent ?? "");
	const whole = length < PIECE || !wanted.hasChildNodes();
	const node = whole ? wanted : wanted.cloneNode();
	place(node);
	if (whole) yield length;
	else yield* patch(node, wanted.childNodes);
}
