// Reaches a datagram socket by its path without socket(2). Usage: send_datagram SOCKET_PATH WAY
// The ways: sendto, connect, sendmsg, seqpacket (which connects).
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv) {
    const char *way = argc > 2 ? argv[2] : "sendto";
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strncpy(address.sun_path, argc > 1 ? argv[1] : "", sizeof address.sun_path - 1);
    const struct sockaddr *to = (const struct sockaddr *)&address;
    int pair[2], done = 0;
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0) {
        if (!strcmp(way, "sendto")) done = sendto(pair[0], "hello", 5, 0, to, sizeof address) == 5;
        if (!strcmp(way, "connect")) done = connect(pair[0], to, sizeof address) == 0 && send(pair[0], "hello", 5, 0) == 5;
        struct iovec bytes = { .iov_base = "hello", .iov_len = 5 };
        struct msghdr message = { .msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &bytes, .msg_iovlen = 1 };
        if (!strcmp(way, "sendmsg")) done = sendmsg(pair[0], &message, 0) == 5;
        struct mmsghdr several = { .msg_hdr = message };
        if (!strcmp(way, "sendmmsg")) done = sendmmsg(pair[0], &several, 1, 0) == 1;
    } else if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) {
        // The same with what is left.
        struct iovec bytes = { .iov_base = "hello", .iov_len = 5 };
        struct msghdr message = { .msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &bytes, .msg_iovlen = 1 };
        int error = errno;
        done = sendmsg(pair[0], &message, 0) == 5 || sendto(pair[0], "hello", 5, 0, to, sizeof address) == 5;
        if (!done) errno = error;
    }
    printf("%s: %s\n", way, done ? "sent" : strerror(errno));
    return !done;
}
