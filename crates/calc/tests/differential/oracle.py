"""Answers expressions, one a line, as the old program would have: json.dumps of eval, or the exception's class.

A complex result is spelled by repr, because json.dumps refuses it. What Python would compute for minutes, and bidden
answers at once, is answered by MemoryError, which the test does not compare.
"""

import builtins
import cmath
import json
import math
import resource
import signal
import statistics
import sys
import warnings

LONGEST_SECONDS = 2
warnings.simplefilter("ignore")
names = {name: value for name, value in vars(math).items() if not name.startswith("_")}
for name in ("mean", "median", "stdev", "variance"):
    names[name] = getattr(statistics, name)
for name in ("abs", "bool", "complex", "divmod", "float", "int", "len", "max", "min", "pow", "round", "sum"):
    names[name] = getattr(builtins, name)


def guarded_round(*arguments, **keywords):
    """round(1, -10**9) makes 10**10**9 first."""
    if any(isinstance(argument, int) and argument < -9_000 for argument in arguments[1:]):
        raise MemoryError
    return round(*arguments, **keywords)


names["round"] = guarded_round
names.update(math=math, cmath=cmath, statistics=statistics, __builtins__={})


def give_up(*_):
    raise MemoryError


signal.signal(signal.SIGALRM, give_up)
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
print(sys.version_info[0], sys.version_info[1], flush=True)
for line in sys.stdin:
    text = json.loads(line)
    try:
        signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
        value = eval(text, dict(names))
        if isinstance(value, complex):
            answer = f"complex({value.real!r}, {value.imag!r})"
        else:
            answer = json.dumps(value)
    except Exception as error:
        answer = "! " + type(error).__name__
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(answer)
    if not text:
        sys.stdout.flush()
