"""The operator's commands: `flask --app app …`."""

from app.cli.datasets import dataset
from app.cli.demo import demo
from app.cli.evaluate import evaluate
from app.cli.insights import insights
from app.cli.operator import operator
from app.cli.outbox import outbox

COMMANDS = (dataset, demo, evaluate, insights, operator, outbox)
