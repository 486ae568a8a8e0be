/**
 * The frame around a block of code: its language and a Copy button.
 */
import { element, icon } from "./element.js";

/**
 * @param {HTMLPreElement} pre with one <code class="language-…"> inside
 * @returns {HTMLElement} a figure around it
 */
export function codeBlock(pre) {
  const name = /language-(\S+)/.exec(pre.querySelector("code")?.className ?? "")?.[1];
  const copy = element(
    "button",
    { type: "button", class: "quiet-button", "data-copy": "code" },
    icon("copy"),
    "Copy",
  );
  const header = element("figcaption", {}, element("span", {}, name ?? "text"), copy);
  pre.tabIndex = 0; // wide code scrolls, so the keyboard must reach it
  return element("figure", { class: "code-block" }, header, pre);
}

/**
 * Frame every block of code in a finished answer.
 * @param {ParentNode} root
 */
export function frameCode(root) {
  for (const pre of root.querySelectorAll("pre")) {
    const place = document.createComment("");
    pre.replaceWith(place);
    place.replaceWith(codeBlock(pre));
  }
}
