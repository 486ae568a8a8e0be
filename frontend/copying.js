/**
 * Copying to the clipboard, also on plain-HTTP origins, with an answer in the button itself.
 */

/** @param {string} text */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/**
 * @param {HTMLElement} button shows "Copied" for a moment
 * @param {string} text
 * @param {import("./announcer.js").Announcer} announcer
 */
export async function copyFrom(button, text, announcer) {
  const done = await copy(text).then(
    () => true,
    () => false,
  );
  button.dataset.copied = String(done);
  announcer.say(done ? "Copied." : "Could not copy.");
  setTimeout(() => delete button.dataset.copied, 1600);
}
