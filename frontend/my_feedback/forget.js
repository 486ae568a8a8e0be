/** Forget me: asks once, says exactly what went and what is left, and empties this browser. */
import { api } from "../api.js";
import { element, find } from "../element.js";
import { say } from "../notice.js";

const OURS = "thumbprint.";
const UNKNOWN =
	"No answer came, so we do not know whether you are forgotten. You can ask for it again.";
const dialog = find("#confirm");

find("#forget").onclick = () => {
	dialog.returnValue = "";
	dialog.showModal();
};
dialog.onclose = async () => {
	if (dialog.returnValue !== "forget") return;
	const problem = find("#not-forgotten");
	problem.hidden = true;
	try {
		tell(await api.call("POST", "/forget-me", {}));
	} catch (error) {
		const { message, status } = /** @type {ApiError} */ (error);
		// It stays, beside the button: what was asked for is serious.
		problem.textContent = status ? message : UNKNOWN;
		problem.hidden = false;
	}
};

/** Only what is ours: other apps may live at this origin. */
function emptyBrowser() {
	for (const storage of [localStorage, sessionStorage])
		for (const key of Object.keys(storage)) if (key.startsWith(OURS)) storage.removeItem(key);
	// Other tabs hear this, and leave what they show.
	localStorage.setItem(`${OURS}forgotten`, "");
	localStorage.removeItem(`${OURS}forgotten`);
}

/** @param {number} number @param {string} one @param {string} many */
function count(number, one, many) {
	return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

function tell(/** @type {ForgottenAnswer} */ { conversations, traces, in_mlflow }) {
	emptyBrowser();
	const main = find("main");
	const result = find("#forgotten");
	const list = find(".traces", result);
	const number = count(traces.length, "trace", "traces");
	const fate =
		in_mlflow === "kept"
			? `MLflow keeps ${number}, with your user ID. To have them deleted, give whoever runs this app this list:`
			: `${number} will be deleted in MLflow, as soon as it can be reached:`;
	find("[data-conversations]", result).textContent =
		`${count(conversations, "conversation was", "conversations were")} deleted here, and all you said of the answers.`;
	find("[data-traces]", result).textContent = traces.length ? fate : "MLflow has no trace of you.";
	list.replaceChildren(...traces.map((trace) => element("li", trace)));
	list.hidden = !traces.length;
	main.replaceChildren(result);
	result.hidden = false;
	find("h1", result).focus();
	say(find("[data-conversations]", result).textContent ?? "");
}
