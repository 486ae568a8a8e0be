/** Markdown still streaming in as DOM nodes, shaped like the server's rendering, which follows. */
import { copyOf, element, find } from "./element.js";
import { inline } from "./inline.js";

const FENCE = /^ *(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#*)?[ \t]*$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^ {0,3}(?:[-*+]|(\d{1,9})[.)])(?: +|$)/;
const DELIMITERS = /^(?=.*-)[ \t|:-]+$/;
/** Begins a block, whatever is before. */
const START =
	/^ {0,3}(?:#{1,6}[ \t]|`{3}|~{3}|>|(?:[-*+]|1[.)]) +\S|(?:([-*_])[ \t]*)(?:\1[ \t]*){2,}$)/;
const DEEPEST = 8;

/** A paragraph's next line, or a table's. */
const goesOn = (/** @type {string} */ line) => line.trim() && !START.test(line);

const closes = (fence = "", line = "") =>
	line.trim().startsWith(fence) && !line.trim().replaceAll(fence.charAt(0), "");

/** Where blocks begin that no later text can join to what is before. */
export function* blockStarts(/** @type {string[]} */ lines) {
	let fence = "";
	let first = 0;
	for (const [index, line] of lines.entries()) {
		const afterBlank = !lines[index - 1]?.trim();
		const item = ITEM.test(line) && (START.test(line) || ITEM.test(lines[first] ?? ""));
		if (!fence && index > first && /^\S/.test(line) && (afterBlank || item)) {
			first = index;
			yield index;
		}
		if (!fence) fence = FENCE.exec(line)?.[1] ?? "";
		else if (closes(fence, line)) fence = "";
	}
}

/** @type {Build} */
export function* build(lines, next, before, depth = 0) {
	/** @type {HTMLElement[]} */
	const nodes = [];
	let at = 0;
	let end = 0;
	const open = next === undefined;
	const take = (/** @type {Belongs} */ belongs) => {
		while (end < lines.length && belongs(lines[end] ?? "", lines[end - 1] ?? "")) end++;
		return lines.slice(at, end);
	};
	for (; at < lines.length; at = end) {
		const line = lines[at] ?? "";
		end = at + 1;
		if (!line.trim()) continue;
		const [, fence, language = ""] = FENCE.exec(line) ?? [];
		const [, marks, title = ""] = HEADING.exec(line) ?? [];
		const item = ITEM.exec(line);
		if (fence) {
			const code = take((each) => !closes(fence, each)).slice(1);
			const text = code.join("\n") + (end < lines.length && code.length ? "\n" : "");
			end++;
			const block = element("code", text);
			if (language.trim()) block.className = `language-${language.trim().split(/\s/)[0]}`;
			nodes.push(codeBlock(element("pre", block)));
		} else if (marks) {
			nodes.push(yield* inline(element(/** @type {"h1"} */ (`h${marks.length}`)), title, open));
		} else if (RULE.test(line)) {
			nodes.push(element("hr"));
		} else if (depth < DEEPEST && QUOTE.test(line)) {
			const quoted = take((each) => QUOTE.test(each) || goesOn(each));
			const inner = quoted.map((each) => each.replace(QUOTE, ""));
			const content = yield* build(inner, lines[end] ?? next, undefined, depth + 1);
			nodes.push(element("blockquote", ...content));
		} else if (depth < DEEPEST && item) {
			const [{ length: indent }, number] = item;
			const tag = number ? "ol" : "ul";
			const inner = take((each, previous) => {
				if (!each.trim() || each.search(/\S/) >= indent) return true;
				return previous.trim() && goesOn(each) && !ITEM.test(each);
			}).map((each, index) => each.slice(index ? Math.min(indent, each.search(/\S|$/)) : indent));
			const last = nodes.at(-1) ?? before;
			const sameList = last?.localName === tag;
			const list = (sameList && nodes.at(-1)) || element(tag);
			if (!sameList && Number(number ?? 1) !== 1) list.setAttribute("start", `${Number(number)}`);
			if (list !== nodes.at(-1)) nodes.push(list);
			const loose =
				(sameList && last?.lastElementChild?.firstElementChild?.localName === "p") ||
				/\n\s*\n\s*\S/.test(inner.join("\n")) ||
				(!inner.at(-1)?.trim() && ITEM.test(lines[end] ?? next ?? ""));
			const content = yield* build(inner, lines[end] ?? next, undefined, depth + 1);
			const shown = content.flatMap((node) =>
				!loose && node.localName === "p" ? [...node.childNodes] : node,
			);
			list.append(element("li", ...shown));
		} else if (line.includes("|") && DELIMITERS.test(lines[at + 1] ?? "")) {
			end++;
			nodes.push(yield* table(take(goesOn)));
		} else {
			const text = take(goesOn).map((each) => each.trimStart());
			const last = open && end === lines.length;
			nodes.push(yield* inline(element("p"), text.join("\n").trimEnd(), last));
		}
	}
	return nodes;
}

function* table(/** @type {string[]} */ [head = "", , ...rows]) {
	const cells = (/** @type {string} */ line) =>
		line
			.trim()
			.replace(/^\||(?<!\\)\|$/g, "")
			.split(/(?<!\\)\|/)
			.map((cell) => cell.trim().replaceAll("\\|", "|"));
	const columns = cells(head);
	const body = element("tbody");
	/** @param {"th" | "td"} tag @param {string} line */
	function* row(tag, line) {
		const found = cells(line);
		const node = element("tr");
		for (const index of columns.keys())
			node.append(yield* inline(element(tag), found[index] ?? ""));
		return node;
	}
	const shown = element("table", element("thead", yield* row("th", head)));
	for (const line of rows) body.append(yield* row("td", line));
	if (rows.length) shown.append(body);
	return shown;
}

export function codeBlock(/** @type {Node} */ pre) {
	const figure = copyOf("code-block");
	figure.append(pre);
	const name = /language-(\S+)/.exec(find("code", figure).className)?.[1];
	find("span", figure).textContent = name ?? "text";
	find("pre", figure).tabIndex = 0; // wide code scrolls, so the keyboard must reach it
	return figure;
}
