/* no_memory.h — the system gives no memory: one allocation after the other fails, each in an attempt of its
 * own. Linked with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc, which sends the calls of these names
 * here. */
#pragma once
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* How many allocations still succeed before one fails; negative: all do. Volatile, as compilers know malloc
 * and think that it looks at nothing of ours. */
static volatile atomic_int successes_left = -1;
/* Those that it concerns. */
static bool is_of_whom_is_tested(void);

static bool allocation_must_fail(void)
{
    if (successes_left < 0 || !is_of_whom_is_tested())
        return false;
    return atomic_fetch_sub(&successes_left, 1) == 0;
}

#define WRAP(name, parameters, arguments)                                                                  \
    void *__real_##name parameters;                                                                        \
    __attribute__((used)) void *__wrap_##name parameters;                                                  \
    void *__wrap_##name parameters                                                                         \
    {                                                                                                      \
        if (!allocation_must_fail())                                                                       \
            return __real_##name arguments;                                                                \
        errno = ENOMEM;                                                                                    \
        return NULL;                                                                                       \
    }
WRAP(malloc, (size_t size), (size))
WRAP(calloc, (size_t count, size_t size), (count, size))
WRAP(realloc, (void *block, size_t size), (block, size))

/* Ends an attempt in which one allocation was to fail; true if it came to that. */
static bool has_failed(void)
{
    bool failed = successes_left < 0;
    successes_left = -1;
    return failed;
}
