"""Times what Python offers for the same expressions: each argument is an expression, the last one is for columns.

Prints a line for each measurement, `NAME <tab> INDEX OF THE EXPRESSION <tab> NANOSECONDS`, or `NAME <tab> skipped`
where a package is missing. A measurement is the best of several batches.
"""

import json
import sys
import timeit

ROWS = 1_000_000
SECONDS = 0.02
BATCHES = 5


def best(function):
    """Nanoseconds for one call."""
    timer = timeit.Timer(function)
    count, seconds = timer.autorange()
    count = max(1, int(count * SECONDS / seconds))
    return min(timer.repeat(BATCHES, count)) / count * 1e9


def report(name, index, nanoseconds):
    print(name, index, nanoseconds, sep="\t", flush=True)


def skip(name):
    print(name, "skipped", sep="\t", flush=True)


*texts, column_text = sys.argv[1:]
for index, text in enumerate(texts):
    code = compile(text, "<expression>", "eval")
    report("CPython eval, json.dumps", index, best(lambda: json.dumps(eval(text))))
    report("CPython eval", index, best(lambda: eval(text)))
    report("CPython eval of compiled code", index, best(lambda: eval(code)))

try:
    import simpleeval
except ImportError:
    skip("simpleeval")
else:
    for index, text in enumerate(texts):
        report("simpleeval", index, best(lambda: simpleeval.simple_eval(text)))

a, b, c = 2.5, -1.25, 0.75
try:
    import numpy
except ImportError:
    skip("NumPy")
    skip("numexpr, one thread")
    sys.exit()
x = numpy.arange(ROWS) * 1e-3 - 500.0
report("NumPy", len(texts), best(lambda: eval(column_text)) / ROWS)
try:
    import numexpr
except ImportError:
    skip("numexpr, one thread")
else:
    numexpr.set_num_threads(1)
    names = {"a": a, "b": b, "c": c, "x": x}
    evaluate = numexpr.evaluate
    report("numexpr, one thread", len(texts), best(lambda: evaluate(column_text, names)) / ROWS)
