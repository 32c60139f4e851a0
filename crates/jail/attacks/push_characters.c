// Pushes characters into a terminal, as if someone had typed them. Usage: push_characters TERMINAL
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int succeeded = 0;
    const char *paths[] = { "/dev/tty", argc > 1 ? argv[1] : "/dev/tty" };
    for (int index = 0; index < 5; index++) {
        int fd = index < 3 ? index : open(paths[index - 3], O_RDWR | O_NOCTTY);
        int pushed = fd >= 0 && ioctl(fd, TIOCSTI, "x") == 0;
        printf("%s: %s\n", index < 3 ? "a standard stream" : paths[index - 3], pushed ? "pushed" : strerror(errno));
        succeeded |= pushed;
    }
    return !succeeded;
}
