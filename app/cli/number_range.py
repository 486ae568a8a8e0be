"""Numbers of a range, as options of commands take them."""

import math
from typing import Any

import click


class NumberRange(click.FloatRange):
    """Click's range, without NaN: that is neither below nor above anything."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number that was given."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number.", param, ctx)
        return number
