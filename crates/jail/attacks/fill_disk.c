// Writes much: one long file, then many. Usage: fill_disk DIRECTORY MEBIBYTES
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char block[1 << 20];

static int fill(const char *directory, int files, int wanted) {
    char path[4096];
    int written = 0, reason = 0;
    for (int file = 0; file < files; file++) {
        snprintf(path, sizeof path, "%s/fill-%d", directory, file);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        for (int mib = 0; fd >= 0 && mib < wanted / files; mib++) {
            ssize_t count = write(fd, block, sizeof block);
            if (count == (ssize_t)sizeof block) written++;
            else { reason = errno; break; }
        }
        if (fd < 0) reason = errno; else close(fd);
    }
    for (int file = 0; file < files; file++) {
        snprintf(path, sizeof path, "%s/fill-%d", directory, file);
        unlink(path);
    }
    printf("wrote %d of %d MiB in %d files in %s: %s\n", written, wanted, files, directory, strerror(reason));
    return written >= wanted / files * files;
}

int main(int argc, char **argv) {
    const char *directory = argc > 1 ? argv[1] : "/tmp";
    int wanted = argc > 2 ? atoi(argv[2]) : 100;
    signal(SIGXFSZ, SIG_IGN);
    int one = fill(directory, 1, wanted), many = fill(directory, 10, wanted);
    return !(one || many);
}
