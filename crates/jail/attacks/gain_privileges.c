// Is root, by the set-user-id bit of its own file.
#include <stdio.h>
#include <unistd.h>

int main(void) {
    printf("user %d, effective user %d\n", (int)getuid(), (int)geteuid());
    return geteuid() != 0;
}
