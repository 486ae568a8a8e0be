"""How long a turn's first token takes from the model to the browser, and `done` after the last.

Real gunicorn, MLflow and Chromium; the scripted model notes when each token left it, and the page
notes when each frame reached it, on the same machine's clock. `python -m bench.turn_latency`.
"""

import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.chromium import launch_arguments
from tests.scripted_model import Answer, ScriptedModel
from tests.servers import MlflowServer, Stack

TURNS = 60
WARM_UP = 5

# Runs in the page: asks one question and returns when its frames arrived, in epoch milliseconds.
ASK = """
(question) => new Promise((resolve, reject) => {
  const now = () => performance.timeOrigin + performance.now();
  const socket = new WebSocket(`ws://${location.host}/ws/chat`);
  let first = null;
  socket.onopen = () => socket.send(JSON.stringify({type: "message", content: question}));
  socket.onmessage = (event) => {
    const arrived = now();
    const frame = JSON.parse(event.data);
    if (frame.type === "token") first ??= arrived;
    if (frame.type === "error") reject(new Error(frame.error));
    if (frame.type === "done") {
      socket.close();
      resolve({first, done: arrived, state: frame.trace_state});
    }
  };
})
"""


def measure(page: Page, model: ScriptedModel) -> tuple[list[float], list[float], int]:
    """Return first-token delays, last-token-to-done delays (ms), and how many were `stored`."""
    firsts, dones, stored = [], [], 0
    to_epoch = time.time() - time.monotonic()
    for turn in range(WARM_UP + TURNS):
        question = f"latency question {turn}"
        arrived = page.evaluate(ASK, question)
        request = model.asked(question)[0]
        if turn >= WARM_UP:
            firsts.append(arrived["first"] - (request.sent_at[0] + to_epoch) * 1000)
            dones.append(arrived["done"] - (request.sent_at[-1] + to_epoch) * 1000)
            stored += arrived["state"] == "stored"
    return firsts, dones, stored


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        mlflow = MlflowServer(Path(folder) / "mlflow")
        stack = Stack(Path(folder) / "bench", mlflow)
        try:
            mlflow.start()
            stack.start()
            stack.model.answer_when(
                "latency", Answer(tokens=[f"word{i} " for i in range(20)], delay_s=0.05)
            )
            browser = playwright.chromium.launch(**launch_arguments(playwright))
            page = browser.new_page()
            page.goto(stack.url)
            firsts, dones, stored = measure(page, stack.model)
            browser.close()
        finally:
            stack.stop()
            mlflow.terminate()
    print(f"{TURNS} turns of 20 tokens, one at a time, {stored} traces stored before `done`")
    for name, values in (
        ("first token, model to browser", firsts),
        ("last token to done", dones),
    ):
        ordered = sorted(values)
        p99 = ordered[int(len(ordered) * 0.99)]
        print(f"{name:30} median {statistics.median(values):6.1f} ms   p99 {p99:6.1f} ms")


if __name__ == "__main__":
    main()
