// Creates, changes and deletes files where no rule permits it. Usage: write_anywhere DIRECTORY, which holds a file `victim`
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static int succeeded;

static void did(const char *what, int result) {
    printf("%s: %s\n", what, result == 0 ? "done" : strerror(errno));
    succeeded |= result == 0;
}

static int made(int fd) {
    if (fd >= 0) close(fd);
    return fd < 0 ? -1 : 0;
}

int main(int argc, char **argv) {
    char victim[4096], made_file[4096], other[4096];
    const char *directory = argc > 1 ? argv[1] : "/etc";
    snprintf(victim, sizeof victim, "%s/victim", directory);
    snprintf(made_file, sizeof made_file, "%s/made", directory);
    snprintf(other, sizeof other, "%s/other", directory);
    did("create", made(open(made_file, O_WRONLY | O_CREAT, 0600)));
    did("open for writing", made(open(victim, O_WRONLY)));
    did("truncate", truncate(victim, 0));
    did("chmod", chmod(victim, 0777));
    did("chown", chown(victim, getuid(), getgid()));
    did("set a time", utimensat(AT_FDCWD, victim, NULL, 0));
    did("set an attribute", setxattr(victim, "user.attack", "x", 1, 0));
    did("rename", rename(victim, other));
    rename(other, victim);
    did("link", link(victim, other));
    unlink(other);
    did("make a directory", mkdir(other, 0700));
    rmdir(other);
    did("delete", unlink(victim));
    did("write to the kernel", made(open("/proc/sys/kernel/core_pattern", O_WRONLY)));
    did("write into /etc", made(open("/etc/bidden-attack", O_WRONLY | O_CREAT, 0600)));
    unlink("/etc/bidden-attack");
    return !succeeded;
}
