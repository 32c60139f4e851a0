// Takes more memory than a command may by many processes, none of which takes much. Usage: memory_crowd PROCESSES MEBIBYTES
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int processes = argc > 1 ? atoi(argv[1]) : 8, done = 0;
    size_t bytes = (size_t)(argc > 2 ? atoi(argv[2]) : 64) << 20;
    int all_there[2];
    if (pipe(all_there)) return 2;
    printf("%d processes take %zu bytes each\n", processes, bytes);
    fflush(stdout);
    for (int i = 0; i < processes; i++) {
        pid_t child = fork();
        if (child < 0) return 2;
        if (child) continue;
        close(all_there[0]);
        char *memory = malloc(bytes);
        if (!memory) _exit(1);
        memset(memory, 1, bytes);
        if (write(all_there[1], "x", 1) != 1) _exit(1);
        pause();
    }
    close(all_there[1]);
    char one;
    while (done < processes && read(all_there[0], &one, 1) == 1) done++;
    printf("%d hold it at once\n", done);
    fflush(stdout);
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    return done != processes;
}
