// Takes something that processes of one user, or all of the machine, share. Usage: take_shared WAY [FILE | MiB]
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// So many MiB in files in memory of 32 MiB each, none of them mapped.
static int fill_memory(long mebibytes) {
    static char block[1 << 20];
    memset(block, 1, sizeof block);
    for (long written = 0; written < mebibytes;) {
        int fd = memfd_create("bomb", 0);
        if (fd < 0) return -1;
        for (int i = 0; i < 32 && written < mebibytes; i++, written++)
            if (write(fd, block, sizeof block) != sizeof block) return -1;
    }
    return 0;
}

static int fill_segments(long mebibytes) {
    for (long taken = 0; taken < mebibytes; taken += 32) {
        int id = shmget(IPC_PRIVATE, 32 << 20, IPC_CREAT | 0600);
        if (id < 0) return -1;
        char *memory = shmat(id, NULL, 0);
        if (memory == (void *)-1) { int error = errno; shmctl(id, IPC_RMID, NULL); errno = error; return -1; }
        for (long i = 0; i < 32 << 20; i += 4096) memory[i] = 1;
        shmdt(memory);
        shmctl(id, IPC_RMID, NULL);
    }
    return 0;
}

static int remove_it(int id, int how) {
    if (id >= 0 && how == 0) shmctl(id, IPC_RMID, NULL);
    if (id >= 0 && how == 1) semctl(id, 0, IPC_RMID);
    if (id >= 0 && how == 2) msgctl(id, IPC_RMID, NULL);
    return id;
}

// More timers than one command may have.
static int many_timers(long count) {
    for (long i = 0; i < count; i++) {
        timer_t timer;
        struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
        if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return -1;
    }
    return 0;
}

// Each of so many descriptors watched by each other.
static int many_watches(long count) {
    for (long i = 0; i < count; i++)
        if (epoll_create1(0) < 0) return -1;
    return 0;
}

static int take(const char *way, const char *word) {
    long number = atol(word);
    if (!strcmp(way, "lease")) {
        int fd = open(word, O_RDONLY);
        if (fd < 0) return -1;
        signal(SIGIO, SIG_IGN);
        return fcntl(fd, F_SETLEASE, F_RDLCK);
    }
    if (!strcmp(way, "notify")) {
        int fd = open(word, O_RDONLY | O_DIRECTORY);
        if (fd < 0) return -1;
        signal(SIGIO, SIG_IGN);
        return fcntl(fd, F_NOTIFY, DN_ACCESS | DN_MULTISHOT);
    }
    if (!strcmp(way, "pipe")) {
        int ends[2];
        if (pipe(ends) != 0) return -1;
        return fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
    }
    if (!strcmp(way, "memfd")) return fill_memory(number);
    if (!strcmp(way, "shm")) return fill_segments(number);
    if (!strcmp(way, "sem")) return remove_it(semget(IPC_PRIVATE, 1000, IPC_CREAT | 0600), 1);
    if (!strcmp(way, "msg")) return remove_it(msgget(IPC_PRIVATE, IPC_CREAT | 0600), 2);
    if (!strcmp(way, "queue")) {
        struct mq_attr attributes = { .mq_maxmsg = 10, .mq_msgsize = 8192 };
        mqd_t queue = mq_open("/bidden-attack", O_RDWR | O_CREAT, 0600, &attributes);
        if (queue == (mqd_t)-1) return -1;
        return mq_unlink("/bidden-attack");
    }
    if (!strcmp(way, "timers")) return many_timers(number);
    if (!strcmp(way, "descriptors")) return many_watches(number);
    if (!strcmp(way, "locked")) {
        void *memory = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return memory == MAP_FAILED ? -1 : mlock(memory, 4 << 20);
    }
    errno = EINVAL;
    return -1;
}

int main(int argc, char **argv) {
    int result = take(argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : "");
    printf("%s: %s\n", argc > 1 ? argv[1] : "", result >= 0 ? "done" : strerror(errno));
    return result < 0;
}
