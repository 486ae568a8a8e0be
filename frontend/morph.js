/**
 * Changes a piece of DOM into another with as few changes as possible, so that text which stays
 * the same is neither laid out again nor flickers, and a selection in it survives. The work comes
 * in steps; each yields how many characters it put on the page.
 */

/**
 * @param {Element} target changed in place
 * @param {ParentNode} wanted used up
 * @returns {Generator<number, void>}
 */
export function* morph(target, wanted) {
  let mine = target.firstChild;
  for (const next of [...wanted.childNodes]) {
    const after = mine?.nextSibling ?? null;
    if (!mine) target.append(next);
    else if (yield* morphNode(mine, next)) yield 0;
    else mine.replaceWith(next);
    if (next.parentNode === target) yield next.textContent?.length ?? 0;
    mine = after;
  }
  while (mine) {
    const after = mine.nextSibling;
    mine.remove();
    mine = after;
    yield 0;
  }
}

/**
 * @param {Node} mine
 * @param {Node} wanted
 * @returns {Generator<number, boolean>} returns whether `mine` has become `wanted`
 */
export function* morphNode(mine, wanted) {
  if (mine.isEqualNode(wanted)) return true;
  if (mine instanceof Text && wanted instanceof Text) {
    if (wanted.data.startsWith(mine.data)) mine.appendData(wanted.data.slice(mine.length));
    else mine.data = wanted.data;
    return true;
  }
  if (!(mine instanceof Element && wanted instanceof Element)) return false;
  // Highlighted code has nothing in common with the plain code it takes the place of.
  const highlighted = wanted.localName === "code" && wanted.firstElementChild;
  if (highlighted || !sameTag(mine, wanted)) return false;
  yield* morph(mine, wanted);
  return true;
}

/**
 * @param {Element} one
 * @param {Element} other
 */
function sameTag(one, other) {
  const [mine, wanted] = [one.attributes, other.attributes];
  const same = one.localName === other.localName && mine.length === wanted.length;
  return same && [...mine].every(({ name, value }) => other.getAttribute(name) === value);
}
