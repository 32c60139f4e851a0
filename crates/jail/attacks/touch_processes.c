// Sees or signals a process that is not its own. Usage: touch_processes PID
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int victim = argc > 1 ? atoi(argv[1]) : 1, succeeded = 0, own = getpid();
    if (kill(victim, 0) == 0) { printf("signalled %d\n", victim); succeeded = 1; }
    for (int pid = 1; pid < 32768; pid++)
        if (pid != own && kill(pid, 0) == 0) { printf("signalled %d\n", pid); succeeded = 1; break; }
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        int pid = atoi(entry->d_name);
        if (pid > 0 && pid != own) { printf("saw %d\n", pid); succeeded = 1; break; }
    }
    if (!succeeded) printf("nobody is here\n");
    return !succeeded;
}
