// Starts more processes than any command needs. Usage: fork_bomb COUNT
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int wanted = argc > 1 ? atoi(argv[1]) : 1000, started = 0;
    pid_t *children = calloc(wanted, sizeof *children);
    for (; started < wanted; started++) {
        children[started] = fork();
        if (children[started] < 0) break;
        if (children[started] == 0) { pause(); _exit(0); }
    }
    printf("started %d: %s\n", started, started == wanted ? "all" : strerror(errno));
    for (int child = 0; child < started; child++) kill(children[child], SIGKILL);
    while (wait(NULL) > 0) {}
    return started != wanted;
}
