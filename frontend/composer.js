/**
 * Where questions are written: grows with the text, keeps a draft, sends, and stops.
 */

/** @typedef {{send(text: string): void, stop(): void}} ComposerDelegate */

export class Composer {
  #running = false;
  #draftKey = "";
  #form;
  #field;
  #send;
  #stop;
  #hint;
  #limit;
  #delegate;

  /**
   * @param {{form: HTMLFormElement, field: HTMLTextAreaElement, send: HTMLButtonElement,
   *   stop: HTMLButtonElement, hint: HTMLElement}} parts
   * @param {number} limit characters a message may have, counted as the server counts
   * @param {ComposerDelegate} delegate
   */
  constructor({ form, field, send, stop, hint }, limit, delegate) {
    this.#form = form;
    this.#field = field;
    this.#send = send;
    this.#stop = stop;
    this.#hint = hint;
    this.#limit = limit;
    this.#delegate = delegate;
  }

  start() {
    this.#field.addEventListener("input", () => this.#changed());
    this.#field.addEventListener("keydown", (event) => {
      // keyCode 229: the Enter that ends a composition in Safari, after isComposing is off again.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229)
        return;
      event.preventDefault();
      this.#form.requestSubmit();
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.#sendable) return;
      const text = this.#field.value.trim();
      this.write("");
      this.#delegate.send(text);
    });
    this.#stop.addEventListener("click", () => this.#delegate.stop());
  }

  /**
   * Turn to a conversation: its draft comes back.
   * @param {string | null} conversationId
   */
  turnTo(conversationId) {
    this.#draftKey = `thumbprint.draft.${conversationId ?? "new"}`;
    this.write(sessionStorage.getItem(this.#draftKey) ?? "");
    this.focus();
  }

  /** @param {string} text */
  write(text) {
    this.#field.value = text;
    this.#changed();
  }

  /** Not where that would open a keyboard over what there is to read. */
  focus() {
    if (matchMedia("(pointer: fine)").matches) this.#field.focus();
  }

  /** @param {boolean} running an answer is streaming */
  set running(running) {
    if (running === this.#running) return;
    const focused = document.activeElement === this.#stop;
    this.#running = running;
    this.#stop.hidden = !running;
    this.#send.hidden = running;
    this.#changed();
    if (focused) this.focus();
  }

  get #length() {
    return [...this.#field.value.trim()].length;
  }

  get #sendable() {
    return !this.#running && this.#length > 0 && this.#length <= this.#limit;
  }

  #changed() {
    const { value } = this.#field;
    if (value) sessionStorage.setItem(this.#draftKey, value);
    else sessionStorage.removeItem(this.#draftKey);
    if (!CSS.supports("field-sizing", "content")) {
      this.#field.style.height = "auto";
      this.#field.style.height = `${this.#field.scrollHeight}px`;
    }
    this.#send.disabled = !this.#sendable;
    const length = this.#length;
    const over = length - this.#limit;
    const count = `${length.toLocaleString("en")} of ${this.#limit.toLocaleString("en")} characters`;
    if (over > 0)
      this.#hint.textContent = `${count}: too long to send by ${over.toLocaleString("en")}.`;
    else this.#hint.textContent = length > this.#limit * 0.9 ? count : "";
    this.#hint.classList.toggle("over", over > 0);
  }
}
