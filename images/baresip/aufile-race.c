/* LD_PRELOAD for baresip 1.1: takes a race out of aufile.so, the module that plays into a file for us and that no user with a sound card runs.
 *
 * Its player thread sets `st->run` itself; a player that is stopped before its thread got that far is freed without being joined, and the
 * thread then writes to freed memory: SIGSEGV in about one of ten to twenty hold-resume rounds, as each re-INVITE restarts the player.
 * Here pthread_create, for threads of aufile.so, returns only when the thread has reached aufile_write: by then `run` is true. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct start {
    void *(*routine)(void *);
    void *arg;
    sem_t running;
    int references;
};

static __thread struct start *mine;

static void leave(struct start *start)
{
    if (__atomic_sub_fetch(&start->references, 1, __ATOMIC_ACQ_REL) == 0) {
        sem_destroy(&start->running);
        free(start);
    }
}

static void reached(void)
{
    struct start *start = mine;
    if (!start)
        return;
    mine = NULL;
    sem_post(&start->running);
    leave(start);
}

static void *run(void *arg)
{
    struct start *start = arg;
    void *result;
    mine = start;
    result = start->routine(start->arg);
    reached(); /* ended without getting there */
    return result;
}

int aufile_write(void *file, const void *data, size_t size)
{
    static int (*next)(void *, const void *, size_t);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "aufile_write");
    reached();
    return next ? next(file, data, size) : -1;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*routine)(void *), void *arg)
{
    static int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    struct timespec limit;
    struct start *start;
    Dl_info where;
    int failed;
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
    if (!dladdr(*(void **)&routine, &where) || !where.dli_fname || !strstr(where.dli_fname, "/aufile.so") || !(start = calloc(1, sizeof(*start))))
        return next(thread, attr, routine, arg);
    start->routine = routine;
    start->arg = arg;
    start->references = 2;
    sem_init(&start->running, 0, 0);
    failed = next(thread, attr, run, start);
    if (failed) {
        sem_destroy(&start->running);
        free(start);
        return failed;
    }
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 1;
    sem_timedwait(&start->running, &limit);
    leave(start);
    return 0;
}
