/* A disk that does not answer, for the processes that preload this: what is to be written to it waits as long as there is
   a file where STATSCOUNTER_TEST_HANG says. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK 20000

static void hang(void)
{
    const char *path = getenv("STATSCOUNTER_TEST_HANG");

    while (path != NULL && access(path, F_OK) == 0)
        usleep(CHECK);
}

int fsync(int file)
{
    hang();
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}

int fdatasync(int file)
{
    hang();
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(file);
}
