/**
 * Puts the page together: every part is made here, once, and handed what it needs.
 */
import { Announcer } from "./announcer.js";
import { Api } from "./api.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { ConnectionView } from "./connection_view.js";
import { ConversationList } from "./conversation_list.js";
import { ConversationListView } from "./conversation_list_view.js";
import { Drawer } from "./drawer.js";
import { required } from "./element.js";
import { Feedbacks } from "./feedbacks.js";
import { Line } from "./line.js";
import { Painter } from "./painter.js";
import { PendingVerdicts } from "./pending_verdicts.js";
import { Recovery } from "./recovery.js";
import { Router } from "./router.js";
import { Scroll } from "./scroll.js";
import { Transcript } from "./transcript.js";

const byId = (/** @type {string} */ id) => required(id, HTMLElement);

const api = new Api();
const announcer = new Announcer(byId("announcements"), byId("notice"));
const socketUrl = new URL("/ws/chat", location.href.replace(/^http/, "ws"));
const line = new Line(
  () => new WebSocket(socketUrl),
  () => api.conversations(),
);
const connection = new Connection(line);
const feedbacks = new Feedbacks(api, new PendingVerdicts(localStorage));
const list = new ConversationList(api);
const router = new Router();
const scroll = new Scroll(byId("scroller"), byId("column"), byId("jump"));
const surroundings = {
  painter: new Painter(),
  announcer,
  feedbacks,
  again: (/** @type {import("./turn.js").Turn} */ turn) => chat.again(turn),
};
const transcript = new Transcript(byId("transcript"), byId("welcome"), scroll, surroundings);
const composer = new Composer(
  {
    form: required("composer", HTMLFormElement),
    field: required("question", HTMLTextAreaElement),
    send: required("send", HTMLButtonElement),
    stop: required("stop", HTMLButtonElement),
    hint: byId("hint"),
  },
  Number(document.body.dataset.maxMessageChars) || 8000,
  {
    send: (text) => chat.ask(text),
    stop: () => chat.stop(),
  },
);
const chat = new Chat(byId("title"), {
  api,
  announcer,
  composer,
  connection,
  list,
  router,
  transcript,
});
const drawer = new Drawer({
  sidebar: byId("sidebar"),
  opener: byId("menu"),
  shade: byId("shade"),
  page: byId("page"),
});
const listView = new ConversationListView(
  list,
  byId("conversations"),
  required("confirm", HTMLDialogElement),
  announcer,
);

for (const example of document.querySelectorAll("[data-example]")) {
  example.addEventListener("click", () => chat.ask(example.textContent?.trim() ?? ""));
}
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || event.isComposing) return;
  if (document.querySelector("dialog[open]")) return;
  if (drawer.close() || chat.stop()) event.preventDefault();
});

const parts = [
  transcript,
  composer,
  drawer,
  listView,
  router,
  new Recovery(api, connection),
  connection,
  new ConnectionView(line, byId("connection")),
  feedbacks,
  chat,
];
for (const part of parts) part.start();
