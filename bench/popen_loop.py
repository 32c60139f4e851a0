"""Time os.popen("/bin/true").read() in a loop: prints the median of one call in nanoseconds."""

import os
import statistics
import sys
import time

nanoseconds = []
end = time.perf_counter() + float(sys.argv[1])
while time.perf_counter() < end:
    start = time.perf_counter_ns()
    os.popen("/bin/true").read()
    nanoseconds.append(time.perf_counter_ns() - start)
print(statistics.median(nanoseconds))
