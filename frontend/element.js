/**
 * Building DOM without markup in strings: text always arrives as text.
 */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | boolean | null | undefined>} [attributes] false and null: left out
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (typeof value === "string") node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * An icon from the sprite in the page.
 * @param {string} name of the symbol, without its `i-`
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/**
 * @param {string} name of the icon
 * @param {string} label what it does, for everyone who does not see the icon
 * @param {string} testId
 * @param {() => void} act
 */
export function iconButton(name, label, testId, act) {
  const attributes = { type: "button", class: "icon-button", title: label, "aria-label": label };
  const button = element("button", { ...attributes, "data-testid": testId }, icon(name));
  button.addEventListener("click", act);
  return button;
}

/**
 * An element that the page template promises.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function required(id, kind) {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`The page has no <${kind.name}> with id "${id}".`);
}
