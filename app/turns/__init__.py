"""The turn engine: one question in, an answer in the turn log, one honest ending.

`engine` starts turns and finds them, `running` is one turn while it runs, `ending` makes its end
safe before anyone is told, `watch` keeps the promise for turns that hang or whose process died.
"""
