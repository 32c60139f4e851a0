// Changes the first process of its PID namespace, or another process. Usage: spoil_init PID WAY
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static long spoil(pid_t pid, const char *way) {
    struct rlimit limit = { .rlim_cur = 3, .rlim_max = 1024 };
    struct sched_param parameters = { .sched_priority = 0 };
    cpu_set_t processors;
    sched_getaffinity(0, sizeof processors, &processors);
    if (!strcmp(way, "limits")) return prlimit(pid, RLIMIT_NOFILE, &limit, NULL);
    if (!strcmp(way, "see_limits")) return prlimit(pid, RLIMIT_NOFILE, NULL, &limit);
    if (!strcmp(way, "affinity")) return sched_setaffinity(pid, sizeof processors, &processors);
    if (!strcmp(way, "scheduler")) return sched_setscheduler(pid, SCHED_IDLE, &parameters);
    if (!strcmp(way, "nice")) return setpriority(PRIO_PROCESS, pid, 19);
    // The same as it was: outside of a jail others are among them.
    if (!strcmp(way, "nice_group")) setpgid(0, 0);
    if (!strcmp(way, "nice_group")) return setpriority(PRIO_PGRP, 0, getpriority(PRIO_PGRP, 0));
    if (!strcmp(way, "io")) return syscall(SYS_ioprio_set, 1, pid, 3 << 13);
    errno = EINVAL;
    return -1;
}

int main(int argc, char **argv) {
    const char *way = argc > 2 ? argv[2] : "limits";
    long result = spoil(argc > 1 ? atoi(argv[1]) : 1, way);
    printf("%s: %s\n", way, result >= 0 ? "done" : strerror(errno));
    return result < 0;
}
