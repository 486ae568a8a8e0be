/** Renaming a conversation in its row, and deleting it when sure; loaded when first asked for. */
import { api } from "./api.js";
import { element, find } from "./element.js";
import { show } from "./notice.js";

const dialog = find("#confirm");

/** @type {Rename} */
export function rename({ id, title: value }, row) {
	const field = Object.assign(element("input"), { ariaLabel: "Title", maxLength: 80, value });
	let keep = true;
	field.onkeydown = (event) => {
		// 229: a key of a composition.
		if (event.keyCode === 229 || !["Escape", "Enter"].includes(event.key)) return;
		event.preventDefault();
		keep = event.key === "Enter";
		row.focus();
	};
	row.tabIndex = -1;
	row.replaceChildren(field);
	field.select();
	return new Promise((done) => {
		field.onblur = async () => {
			field.onblur = null;
			const title = field.value.trim();
			const wanted = keep && title && title !== value;
			const asked = wanted && api.call("PATCH", `/conversations/${id}`, { title });
			const renamed = asked && (await asked.catch(failed));
			field.remove();
			done(renamed || undefined);
		};
	});
}

/** @type {Remove} */
export function remove({ id, title }) {
	dialog.returnValue = "";
	find("[data-title]", dialog).textContent = title;
	dialog.showModal();
	return new Promise((done) => {
		dialog.onclose = async () => {
			const sure = dialog.returnValue === "delete";
			done(sure && Boolean(await api.call("DELETE", `/conversations/${id}`).catch(failed)));
		};
	});
}

function failed(/** @type {Error} */ { message }) {
	show(message);
}
