/** Draws once per screen refresh, within a time budget, so that no flood blocks the page. */

const BUDGET_MS = 8;
/** A hidden tab gets no refreshes; its answers still have to end. */
const HIDDEN_MS = 250;

/** @type {Set<Job>} */
const jobs = new Set();
let frame = 0;
let timer = 0;

export function paint(/** @type {Job} */ job) {
	jobs.add(job);
	frame ||= requestAnimationFrame(run);
	timer ||= setTimeout(run, HIDDEN_MS);
}

function run() {
	cancelAnimationFrame(frame);
	clearTimeout(timer);
	frame = timer = 0;
	const deadline = performance.now() + BUDGET_MS;
	for (const job of [...jobs]) {
		jobs.delete(job);
		if (performance.now() > deadline || !job(deadline)) paint(job);
	}
}
