/**
 * The address bar: `/` is a new conversation, `/c/<id>` an old one. Links to either stay on the
 * page. Emits "change".
 */

export class Router extends EventTarget {
  start() {
    window.addEventListener("popstate", () => this.#changed());
    document.addEventListener("click", (event) => {
      const link = event.target instanceof Element ? event.target.closest("a") : null;
      const plain =
        event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
      if (!link || !plain || link.target || link.origin !== location.origin) return;
      if (link.pathname !== "/" && !link.pathname.startsWith("/c/")) return;
      if (link.hash) return;
      event.preventDefault();
      this.go(link.pathname);
    });
  }

  /** @returns {string | null} the conversation's id, null for a new one */
  get conversationId() {
    const id = /^\/c\/([^/]+)$/.exec(location.pathname)?.[1];
    return id ? decodeURIComponent(id) : null;
  }

  /** @param {string} path */
  go(path) {
    if (path !== location.pathname) history.pushState(null, "", path);
    this.#changed();
  }

  /**
   * The new conversation on this page got its id.
   * @param {string} id
   */
  settle(id) {
    history.replaceState(null, "", `/c/${encodeURIComponent(id)}`);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
