// Reaches something outside by sockets. Usage: connect_out PORT SOCKET_PATH ABSTRACT_NAME
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int succeeded;

static void reach(const char *what, int family, const void *address, socklen_t length) {
    int fd = socket(family, SOCK_STREAM, 0);
    int reached = fd >= 0 && connect(fd, address, length) == 0;
    printf("%s: %s\n", what, reached ? "connected" : strerror(errno));
    succeeded |= reached;
    if (fd >= 0) close(fd);
}

int main(int argc, char **argv) {
    struct sockaddr_in tcp = { .sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 80) };
    tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    reach("tcp", AF_INET, &tcp, sizeof tcp);
    struct sockaddr_un path = { .sun_family = AF_UNIX }, abstract = { .sun_family = AF_UNIX };
    if (argc > 2) {
        strncpy(path.sun_path, argv[2], sizeof path.sun_path - 1);
        reach("a socket's path", AF_UNIX, &path, sizeof path);
    }
    if (argc > 3) {
        strncpy(abstract.sun_path + 1, argv[3], sizeof abstract.sun_path - 2);
        reach("an abstract socket", AF_UNIX, &abstract,
              (socklen_t)(sizeof abstract.sun_family + 1 + strlen(argv[3])));
    }
    int raw = socket(AF_PACKET, SOCK_RAW, 0);
    printf("raw packets: %s\n", raw >= 0 ? "opened" : strerror(errno));
    succeeded |= raw >= 0;
    return !succeeded;
}
