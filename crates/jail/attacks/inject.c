/* Makes another process's main thread do system calls, as somebody would who has taken it over: attaches by ptrace(2) and sets its
   registers. Reads one call a line from stdin, `NUMBER ARGUMENT...`, and writes its result. An argument is a number, `s:TEXT` for
   the address of a string, `x:HEX` for the address of bytes, or `m:` for the address of writable memory. Ends with 77 where the
   machine does not let it attach. x86-64 alone. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef __x86_64__
int main(void) { return 77; }
#else

enum { SKIPPED = 77, PATIENCE_MS = 2000, SCRATCH = 65536 };

static pid_t victim;
static struct user_regs_struct before;

static void fail(const char *what) {
    fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Waits for a stop; 0 if none comes in time. */
static int stopped(int *status) {
    for (int waited = 0; waited < PATIENCE_MS; waited++) {
        pid_t got = waitpid(victim, status, WNOHANG | __WALL);
        if (got == victim) return 1;
        if (got < 0) fail("waitpid");
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return 0;
}

static long call(unsigned long long number, const unsigned long long *arguments) {
    struct user_regs_struct now = before;
    int status = 0;
    now.rip = before.rip - 2;
    now.rax = number;
    now.orig_rax = -1;
    now.rdi = arguments[0], now.rsi = arguments[1], now.rdx = arguments[2];
    now.r10 = arguments[3], now.r8 = arguments[4], now.r9 = arguments[5];
    if (ptrace(PTRACE_SETREGS, victim, 0, &now)) fail("set registers");
    for (int stops = 0; stops < 2;) {
        if (ptrace(PTRACE_SYSCALL, victim, 0, 0)) fail("continue");
        if (!stopped(&status)) {
            if (ptrace(PTRACE_INTERRUPT, victim, 0, 0)) fail("interrupt");
            if (!stopped(&status)) fail("it does not stop");
        }
        if (!WIFSTOPPED(status)) {
            printf("died\n");
            exit(1);
        }
        /* A signal of its own is dropped. */
        if (WSTOPSIG(status) == (SIGTRAP | 0x80)) stops++;
    }
    if (ptrace(PTRACE_GETREGS, victim, 0, &now)) fail("get registers");
    return (long)now.rax;
}

static void put(unsigned long long address, const void *bytes, size_t length) {
    struct iovec ours = {(void *)bytes, length}, theirs = {(void *)address, length};
    if (process_vm_writev(victim, &ours, 1, &theirs, 1, 0) != (ssize_t)length) fail("write memory");
}

int main(int argc, char **argv) {
    int status = 0;
    if (argc != 2) return 2;
    victim = atoi(argv[1]);
    if (ptrace(PTRACE_SEIZE, victim, 0, PTRACE_O_TRACESYSGOOD)) {
        perror("inject: attach");
        return SKIPPED;
    }
    unsigned char instruction[2] = {0};
    for (int tries = 0; tries < 100; tries++) {
        if (ptrace(PTRACE_INTERRUPT, victim, 0, 0)) fail("interrupt");
        if (!stopped(&status)) fail("it does not stop");
        if (ptrace(PTRACE_GETREGS, victim, 0, &before)) fail("get registers");
        struct iovec ours = {instruction, 2}, theirs = {(void *)(before.rip - 2), 2};
        if (process_vm_readv(victim, &ours, 1, &theirs, 1, 0) == 2 && instruction[0] == 0x0f && instruction[1] == 0x05) break;
        /* It computes: until it waits. */
        if (ptrace(PTRACE_CONT, victim, 0, 0)) fail("continue");
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    if (instruction[0] != 0x0f) fail("it does no system call");
    unsigned long long scratch =
        call(SYS_mmap, (unsigned long long[6]){0, SCRATCH, 3, 0x22, -1ull, 0});
    if (scratch > -4096ull) fail("no memory");
    static char line[16384];
    while (fgets(line, sizeof line, stdin)) {
        unsigned long long arguments[6] = {0}, free = scratch + 8192;
        char *word = strtok(line, " \n");
        if (!word) continue;
        unsigned long long number = strtoull(word, NULL, 0);
        for (int index = 0; index < 6 && (word = strtok(NULL, " \n")); index++) {
            if (!strncmp(word, "s:", 2)) {
                put(free, word + 2, strlen(word + 2) + 1);
                arguments[index] = free, free += 4096;
            } else if (!strncmp(word, "x:", 2)) {
                unsigned char bytes[512];
                size_t length = strlen(word + 2) / 2;
                for (size_t at = 0; at < length && at < sizeof bytes; at++) sscanf(word + 2 + 2 * at, "%2hhx", &bytes[at]);
                put(free, bytes, length);
                arguments[index] = free, free += 4096;
            } else if (!strncmp(word, "m:", 2)) {
                arguments[index] = scratch;
            } else {
                arguments[index] = strtoull(word, NULL, 0);
                if (word[0] == '-') arguments[index] = strtoll(word, NULL, 0);
            }
        }
        printf("%ld\n", call(number, arguments));
        fflush(stdout);
    }
    call(SYS_munmap, (unsigned long long[6]){scratch, SCRATCH});
    if (ptrace(PTRACE_SETREGS, victim, 0, &before)) fail("restore registers");
    if (ptrace(PTRACE_DETACH, victim, 0, 0)) fail("detach");
    return 0;
}
#endif
