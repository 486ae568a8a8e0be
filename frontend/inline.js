/** Inline Markdown as DOM nodes: code, emphasis, links to the web. Linear time, in small steps. */
import { element } from "./element.js";

const SPECIAL =
	/\\([!-/:-@[-`{-~])|(`+)|(\*\*?|~~|(?<![\p{L}\p{N}_])__?)(?=\S)|\[([^\]\n]{1,500})\]\((?:<?(https?:\/\/[^)\s>]{1,2000}|mailto:[^)\s>]{1,300})>?\)|(?:h[^)\s]{0,2000})?$)| {2,}\n/gu;
/** @type {Record<string, "em" | "strong" | "s">} */
const TAGS = { "*": "em", _: "em", "**": "strong", __: "strong", "~~": "s" };
const DEEPEST = 6;

/** @type {Inline} */
export function* inline(parent, text, open = false, depth = 0) {
	const special = new RegExp(SPECIAL);
	/** Signs without a closing one further on; to look again would cost quadratic time. */
	const hopeless = new Set();
	let at = 0;
	for (let found = special.exec(text); found; found = special.exec(text)) {
		yield 0;
		const [, escaped, ticks, mark, label, url] = found;
		const sign = ticks ?? mark;
		const start = special.lastIndex;
		let end = start;
		/** @type {Node | string} */
		let node = escaped ?? "";
		if (label) {
			node = signpost(yield* inline(link(url), label, false, DEEPEST));
		} else if (sign) {
			const close = depth < DEEPEST && !hopeless.has(sign) ? closing(text, sign, start) : -1;
			if (close < 0) hopeless.add(sign);
			if (close < 0 && !(open && (ticks || mark === "**"))) continue;
			end = close < 0 ? text.length : close + sign.length;
			const inner = text.slice(start, close < 0 ? end : close);
			node = ticks
				? element("code", inner.replace(/\n/g, " ").replace(/^ (.*[^ ].*) $/, "$1"))
				: yield* inline(element(TAGS[sign] ?? "em"), inner, open && close < 0, depth + 1);
		} else if (!escaped) {
			node = element("br");
			end--;
		}
		parent.append(text.slice(at, found.index), node);
		special.lastIndex = at = end;
	}
	parent.append(text.slice(at));
	parent.normalize();
	return parent;
}

/** As the server writes it; one still streaming in has no address. */
function link(href = "") {
	const attributes = { href, target: "_blank", rel: "noopener noreferrer nofollow" };
	return Object.assign(element("a"), href && attributes);
}

/** Tells where a link leads, as browsers understand it, unless its text begins with that. */
export function signpost(/** @type {HTMLAnchorElement} */ link) {
	const { host, pathname, text } = link;
	const to = host || pathname;
	if (text.replace(/^https?:\/\//, "").split(/[/?#]/, 1)[0] !== to) link.dataset.to = to;
	return link;
}

/** @type {Closing} */
function closing(text, sign, from) {
	const char = `\\${sign[0]}`;
	const before = sign.length > 1 ? "\\s\\\\" : `\\s\\\\${char}`;
	const after = char === "\\_" ? "\\w" : char;
	const not = char === "\\`" ? char : before;
	const pattern = new RegExp(`(?<![${not}])${char}{${sign.length}}(?![${after}])`, "g");
	pattern.lastIndex = from + 1;
	return pattern.exec(text)?.index ?? -1;
}
