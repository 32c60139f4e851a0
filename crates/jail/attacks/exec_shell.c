// Executes a shell, in every way there is.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *arguments[] = { "sh", "-c", "exit 7", NULL };
static char *environment[] = { NULL };

// Runs one way in a child; it worked if the shell's exit code comes back.
static int way(int number) {
    pid_t child = fork();
    if (child == 0) {
        int shell = open("/bin/sh", O_RDONLY), copy;
        struct stat status;
        switch (number) {
        case 0: execve("/bin/sh", arguments, environment); break;
        case 1: syscall(SYS_execveat, shell, "", arguments, environment, AT_EMPTY_PATH); break;
        case 2: syscall(SYS_execveat, AT_FDCWD, "/bin/sh", arguments, environment, 0); break;
        case 3:
            copy = memfd_create("sh", 0);
            fstat(shell, &status);
            sendfile(copy, shell, NULL, (size_t)status.st_size);
            syscall(SYS_execveat, copy, "", arguments, environment, AT_EMPTY_PATH);
            break;
        case 4: {
            // The launcher's own number, if it can be had.
            struct rlimit limit = { 65536, 65536 };
            setrlimit(RLIMIT_NOFILE, &limit);
            for (int target = 200; target < 2000; target++)
                if (dup2(shell, target) == target)
                    syscall(SYS_execveat, target, "", arguments, environment, AT_EMPTY_PATH);
            break;
        }
        case 5: {
            pid_t spawned;
            int status_of_spawned;
            if (posix_spawn(&spawned, "/bin/sh", NULL, NULL, arguments, environment) == 0 &&
                waitpid(spawned, &status_of_spawned, 0) == spawned && WEXITSTATUS(status_of_spawned) == 7)
                _exit(7);
            break;
        }
        }
        _exit(1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 7;
}

int main(void) {
    int succeeded = 0;
    for (int number = 0; number < 6; number++) {
        int worked = way(number);
        printf("way %d: %s\n", number, worked ? "a shell" : "no shell");
        succeeded |= worked;
    }
    return !succeeded;
}
