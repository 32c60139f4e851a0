// Finds something of the server's: a descriptor beyond 2, a variable that no rule names.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

int main(void) {
    int succeeded = 0;
    char path[64], target[512];
    for (int fd = 3; fd < 70000; fd++) {
        if (fcntl(fd, F_GETFD) == -1) continue;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        printf("descriptor %d: %s\n", fd, target);
        succeeded = 1;
    }
    for (char **variable = environ; *variable; variable++)
        if (strncmp(*variable, "PATH=", 5) && strncmp(*variable, "LANG=", 5) && strncmp(*variable, "HOME=", 5)) {
            printf("variable %s\n", *variable);
            succeeded = 1;
        }
    if (!succeeded) printf("nothing is here\n");
    return !succeeded;
}
