// Reads a file that no rule names: directly and by every detour. Usage: read_outside FILE
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int succeeded;

static void look(const char *how, int fd) {
    char byte;
    int got = fd >= 0 && read(fd, &byte, 1) == 1;
    printf("%s: %s\n", how, got ? "read" : "not read");
    succeeded |= got;
    if (fd >= 0) close(fd);
}

int main(int argc, char **argv) {
    const char *file = argc > 1 ? argv[1] : "/etc/shadow";
    char path[8192];
    look("open", open(file, O_RDONLY));
    look("open for writing", open(file, O_RDWR));
    symlink(file, "/tmp/symbolic");
    look("symbolic link", open("/tmp/symbolic", O_RDONLY));
    link(file, "/tmp/hard");
    look("hard link", open("/tmp/hard", O_RDONLY));
    snprintf(path, sizeof path, "/proc/self/root%s", file);
    look("/proc/self/root", open(path, O_RDONLY));
    snprintf(path, sizeof path, "/proc/1/root%s", file);
    look("/proc/1/root", open(path, O_RDONLY));
    snprintf(path, sizeof path, "/usr/../../..%s", file);
    look("..", open(path, O_RDONLY));
    int place = open(file, O_PATH);
    snprintf(path, sizeof path, "/proc/self/fd/%d", place);
    look("O_PATH and /proc/self/fd", open(path, O_RDONLY));
    // Descriptors that someone forgot.
    for (int fd = 3; fd < 1100; fd++)
        if (fd != place && fcntl(fd, F_GETFD) != -1) look("a descriptor that was there", dup(fd));
    return !succeeded;
}
