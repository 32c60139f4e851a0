// Takes more memory than any command needs, and uses it. Usage: memory_bomb MEBIBYTES
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    size_t wanted = (size_t)(argc > 1 ? atoi(argv[1]) : 2048), taken = 0;
    for (; taken < wanted; taken++) {
        char *page = malloc(1 << 20);
        if (!page) break;
        memset(page, 1, 1 << 20);
    }
    printf("took %zu MiB: %s\n", taken, taken == wanted ? "all" : strerror(errno));
    return taken != wanted;
}
