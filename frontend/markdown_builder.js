/**
 * Turns blocks of Markdown into DOM nodes, in the shape the server's renderer gives the finished
 * answer, so that nothing moves when that arrives.
 */
import { element } from "./element.js";
import { HEADING, ITEM, nextBlock, QUOTE } from "./markdown_blocks.js";
import { buildFence, buildParagraph, buildTable, withInline } from "./markdown_leaves.js";

/** @import {Block} from "./markdown_blocks.js" */

const DEEPEST = 12;

/**
 * @param {string} source
 * @param {Block} block
 * @param {number} [depth]
 * @returns {HTMLElement}
 */
export function buildBlock(source, block, depth = 0) {
  const text = source.slice(block.start, block.end);
  const open = !block.closed;
  switch (block.kind) {
    case "fence":
      return buildFence(text);
    case "heading": {
      const [, marks = "#", title = ""] = HEADING.exec(text.trimEnd()) ?? [];
      return withInline(/** @type {"h1"} */ (`h${marks.length}`), title, open);
    }
    case "rule":
      return element("hr");
    case "quote": {
      const quote = element("blockquote");
      const inner = text
        .split("\n")
        .map((line) => line.replace(QUOTE, ""))
        .join("\n");
      appendBlocks(quote, inner, depth + 1);
      return quote;
    }
    case "list":
      return buildList(text, depth);
    case "table":
      return buildTable(text, open);
    default:
      return buildParagraph(text, open);
  }
}

/**
 * @param {HTMLElement} parent
 * @param {string} text
 * @param {number} depth
 * @param {boolean} [tight] paragraphs without a <p>, as in a list without blank lines
 */
function appendBlocks(parent, text, depth, tight = false) {
  let from = 0;
  for (let block = nextBlock(text, from); block; block = nextBlock(text, from)) {
    from = block.end;
    const shown = depth > DEEPEST ? { ...block, kind: /** @type {const} */ ("paragraph") } : block;
    const node = buildBlock(text, shown, depth);
    if (tight && node.localName === "p") parent.append(...node.childNodes);
    else parent.append(node);
  }
}

/**
 * @param {string} text
 * @param {number} depth
 */
function buildList(text, depth) {
  const lines = text.trimEnd().split("\n");
  const number = ITEM.exec(lines[0] ?? "")?.[3];
  const start = number && number !== "1" ? String(Number(number)) : null;
  const list = number ? element("ol", { start }) : element("ul");
  /** @type {string[][]} */
  const items = [];
  let indent = 0;
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item && (items.length === 0 || (item[1] ?? "").length < Math.max(indent, 1))) {
      indent = item[0].length;
      items.push([line.slice(indent)]);
    } else {
      const leading = /^ */.exec(line)?.[0].length ?? 0;
      items.at(-1)?.push(line.slice(Math.min(indent, leading)));
    }
  }
  const loose = items.some((item, index) => {
    const body = item.join("\n");
    return /\n[ \t]*\n/.test(index < items.length - 1 ? `${body}\n` : body);
  });
  for (const item of items) {
    const entry = element("li");
    appendBlocks(entry, item.join("\n"), depth + 1, !loose);
    list.append(entry);
  }
  return list;
}
