// Writes without an end, or so many mebibytes. Usage: endless_output [MEBIBYTES]
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    static char block[1 << 16];
    memset(block, 'x', sizeof block);
    long blocks = argc > 1 ? 16 * atol(argv[1]) : -1;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    for (long count = 0; count != blocks; count++) {
        size_t done = 0;
        while (done < sizeof block) {
            ssize_t written = write(1, block + done, sizeof block - done);
            if (written > 0) done += (size_t)written;
            else if (blocks >= 0) return 1;
        }
    }
    return 0;
}
