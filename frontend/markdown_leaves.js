/**
 * The blocks of Markdown that hold text only: paragraphs, headings, code, tables.
 */
import { codeBlock } from "./code_block.js";
import { element } from "./element.js";
import { FENCE, UNDERLINE } from "./markdown_blocks.js";
import { appendInline } from "./markdown_inline.js";

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} text
 * @param {boolean} open
 */
export function withInline(tag, text, open) {
  const node = element(tag);
  appendInline(node, text, open);
  return node;
}

/**
 * @param {string} text
 * @param {boolean} open
 */
export function buildParagraph(text, open) {
  const body = text.replace(/^[ \t]+/gm, "").trimEnd();
  const cut = body.lastIndexOf("\n");
  const underline = cut > 0 ? UNDERLINE.exec(body.slice(cut + 1))?.[1] : undefined;
  if (!underline) return withInline("p", body, open);
  return withInline(underline[0] === "=" ? "h1" : "h2", body.slice(0, cut), open);
}

/** @param {string} text */
export function buildFence(text) {
  const lines = text.split("\n");
  const [, fence = "```", info = ""] = FENCE.exec(lines.shift() ?? "") ?? [];
  if (lines.at(-1) === "") lines.pop();
  const last = lines.at(-1)?.trim() ?? "";
  const closed = last.startsWith(fence) && last === fence.charAt(0).repeat(last.length);
  if (closed || fence.startsWith(last || "-")) lines.pop();
  const language = info.trim().split(/\s+/)[0];
  const code = lines.join("\n") + (closed && lines.length ? "\n" : "");
  const attributes = { class: language ? `language-${language}` : null };
  return codeBlock(element("pre", {}, element("code", attributes, code)));
}

/**
 * @param {string} text
 * @param {boolean} open
 */
export function buildTable(text, open) {
  const [head = "", , ...rows] = text.trimEnd().split("\n");
  const columns = cells(head).length;
  /**
   * @param {"th" | "td"} tag
   * @param {string} line
   */
  const row = (tag, line) => {
    const found = cells(line);
    const shown = Array.from({ length: columns }, (_, index) => found[index] ?? "");
    return element("tr", {}, ...shown.map((cell) => withInline(tag, cell, open)));
  };
  const body = element("tbody", {}, ...rows.map((line) => row("td", line)));
  return element(
    "table",
    {},
    element("thead", {}, row("th", head)),
    ...(rows.length ? [body] : []),
  );
}

/** @param {string} line */
function cells(line) {
  const inner = line
    .trim()
    .replace(/^\|/, "")
    .replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, "|"));
}
