// Leaves processes behind that do everything to live on. Usage: survive MARK [exit]
// MARK stands in their command lines. With `exit` the first process ends at once and leaves the others its output.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void ignore_everything(void) {
    for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
}

int main(int argc, char **argv) {
    (void)argv;
    // Twice away from its parent, in a session of its own.
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            ignore_everything();
            for (;;) pause();
        }
        _exit(0);
    }
    // Stopped.
    if (fork() == 0) {
        ignore_everything();
        raise(SIGSTOP);
        for (;;) pause();
    }
    printf("left two behind\n");
    fflush(stdout);
    if (argc > 2) return 0;
    ignore_everything();
    for (;;) pause();
}
