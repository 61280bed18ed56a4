/* forks.c — processes that come out of a fork, as multiprocessing and servers with workers make them.
 *
 * The child has a copy of every cache, as far as memory is concerned its own. What was done with the GIL
 * held is done, since Python forks with the GIL; a thread that was inside a call without it is not in the
 * child, and has left what it was changing half changed. cache.c refuses such a copy. Of a good one it
 * ends the leases: who was computing goes on in the parent. */
#include "binding.h"
#include <pthread.h>
#include <stdatomic.h>

/* Of the process, not of a module's state: so is what a fork does. */
static _Atomic uint64_t forks;
static _Atomic unsigned long thread;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int watch_error;

static void count_one(void)
{
    atomic_store_explicit(&thread, PyThread_get_thread_ident(), memory_order_relaxed);
    atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

static void watch(void) { watch_error = pthread_atfork(NULL, NULL, count_one); }

uint64_t fork_count(void) { return atomic_load_explicit(&forks, memory_order_relaxed); }

unsigned long fork_thread(void) { return atomic_load_explicit(&thread, memory_order_relaxed); }

bool fork_watch(void)
{
    if (pthread_once(&once, watch) == 0 && watch_error == 0)
        return true;
    PyErr_NoMemory();
    return false;
}
