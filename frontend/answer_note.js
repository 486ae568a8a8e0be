/**
 * How an answer ended, in a sentence, when it did not simply end well.
 */
import { element, icon } from "./element.js";

/** @import {Turn} from "./turn.js" */

/** @param {Turn} turn */
function sentence(turn) {
  switch (turn.ending) {
    case "stopped":
      return "Stopped by you.";
    case "interrupted":
      return "The server was interrupted before the answer was finished.";
    case "failed":
      return turn.error?.message ?? "The answer failed.";
    default:
      return turn.finishReason === "length" ? "The answer hit the length limit." : "";
  }
}

/**
 * @param {Turn} turn that has ended
 * @param {() => void} retry
 * @returns {{words: string, node: HTMLElement | null}}
 */
export function answerNote(turn, retry) {
  const words = sentence(turn);
  if (!words) return { words, node: null };
  const node = element(
    "div",
    { class: "note", "data-kind": turn.ending },
    element("span", {}, words),
  );
  const retryable =
    turn.ending === "interrupted" || (turn.ending === "failed" && turn.error?.retryable !== false);
  if (retryable) {
    const attributes = { type: "button", class: "button", "data-testid": "retry" };
    const button = element("button", attributes, icon("again"), "Retry");
    button.addEventListener("click", retry);
    node.append(button);
  }
  return { words, node };
}
