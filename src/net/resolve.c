#include "net/resolve.h"
#include "base/thread.h"
#include "net/loop_common.h"
#include <errno.h>
#include <stdlib.h>

/* One name. Until its thread is done it belongs to both, the loop and the thread: whoever comes last frees
 * it. A loop that ends before lets go by setting `loop` to null. */
struct name {
    struct task found; /* posted by the thread */
    struct list in_names;
    struct list waiting;
    bool has_thread;      /* the loop's thread alone looks at it */
    pthread_mutex_t lock; /* over `loop` and `is_posted` */
    struct loop *loop;
    bool is_posted;
    int error; /* getaddrinfo's, and errno if that is EAI_SYSTEM */
    int errno_value;
    struct addrinfo *addresses;
    char host[RESOLVE_HOST_BYTES_MAX + 1];
};

static struct addrinfo *look_up(const char *host, int flags, int *error)
{
    const struct addrinfo hints = {
        .ai_flags = flags, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    struct addrinfo *addresses = NULL;

    *error = getaddrinfo(host, NULL, &hints, &addresses);
    return *error == 0 ? addresses : NULL;
}

struct addrinfo *resolve_numeric(const char *host)
{
    int error;
    return look_up(host, AI_NUMERICHOST, &error);
}

static enum err err_of(const struct name *name)
{
    switch (name->error) {
    case 0: return OK;
    case EAI_MEMORY: return ERR_NO_MEMORY;
    case EAI_SYSTEM: return err_from_errno(name->errno_value);
    default: return ERR_NAME;
    }
}

static void name_free(struct name *name)
{
    if (name->addresses != NULL)
        freeaddrinfo(name->addresses);
    pthread_mutex_destroy(&name->lock);
    free(name);
}

/* ---- the thread --------------------------------------------------------------------------------- */

static void *look_up_name(void *context)
{
    struct name *name = context;
    bool is_wanted;

    name->addresses = look_up(name->host, 0, &name->error);
    name->errno_value = errno;
    pthread_mutex_lock(&name->lock);
    is_wanted = name->loop != NULL;
    if (is_wanted) {
        name->is_posted = true;
        loop_post(name->loop, &name->found); /* locked, so that the loop is there */
    }
    pthread_mutex_unlock(&name->lock);
    if (!is_wanted)
        name_free(name);
    return NULL;
}

static bool start(struct name *name)
{
    pthread_t thread;

    if (!thread_start(&thread, look_up_name, name))
        return false;
    pthread_detach(thread);
    name->has_thread = true;
    name->loop->resolver.thread_count++;
    return true;
}

/* ---- the loop ----------------------------------------------------------------------------------- */

/* Tells all who wait; they may begin and cancel others meanwhile. */
static void tell(struct name *name, enum err err)
{
    while (!list_is_empty(&name->waiting)) {
        struct resolution *resolution = CONTAINER_OF(name->waiting.next, struct resolution, in_waiting);
        list_remove(&resolution->in_waiting);
        resolution->resolved(resolution, err, name->addresses);
    }
}

static struct name *first_without_thread(const struct resolver *resolver)
{
    for (struct list *node = resolver->names.next; node != &resolver->names; node = node->next) {
        struct name *name = CONTAINER_OF(node, struct name, in_names);
        /* What was freed is in no list. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        if (!name->has_thread)
            return name;
    }
    return NULL;
}

/* A thread has ended: the next name's turn has come. */
static void start_next(struct resolver *resolver)
{
    struct name *name;

    while (resolver->thread_count < RESOLVE_THREADS_MAX &&
           (name = first_without_thread(resolver)) != NULL && !start(name)) {
        list_remove(&name->in_names);
        tell(name, ERR_SYSTEM);
        name_free(name);
    }
}

static void found(struct task *task)
{
    struct name *name = CONTAINER_OF(task, struct name, found);
    struct resolver *resolver = &name->loop->resolver;

    pthread_mutex_lock(&name->lock); /* the thread has let go of it */
    pthread_mutex_unlock(&name->lock);
    list_remove(&name->in_names);
    resolver->thread_count--;
    tell(name, err_of(name));
    name_free(name);
    start_next(resolver);
}

static struct name *find(const struct resolver *resolver, const char *host)
{
    for (struct list *node = resolver->names.next; node != &resolver->names; node = node->next) {
        struct name *name = CONTAINER_OF(node, struct name, in_names);
        if (strcmp(name->host, host) == 0)
            return name;
    }
    return NULL;
}

enum err resolve_begin(struct loop *loop, struct resolution *resolution, const char *host)
{
    struct name *name = find(&loop->resolver, host);
    size_t size = strlen(host);

    list_init(&resolution->in_waiting);
    if (size > RESOLVE_HOST_BYTES_MAX)
        return ERR_NAME;
    if (name == NULL) {
        name = calloc(1, sizeof *name);
        if (name == NULL)
            return ERR_NO_MEMORY;
        name->found.run = found;
        name->loop = loop;
        list_init(&name->waiting);
        list_init(&name->in_names);
        pthread_mutex_init(&name->lock, NULL);
        memcpy(name->host, host, size + 1);
        if (loop->resolver.thread_count < RESOLVE_THREADS_MAX && !start(name)) {
            name_free(name);
            return ERR_SYSTEM;
        }
        list_append(&loop->resolver.names, &name->in_names);
    }
    list_append(&name->waiting, &resolution->in_waiting);
    return OK;
}

void resolve_cancel(struct resolution *resolution) { list_remove(&resolution->in_waiting); }

void resolver_init(struct resolver *resolver)
{
    list_init(&resolver->names);
    resolver->thread_count = 0;
}

void resolver_fini(struct resolver *resolver)
{
    while (!list_is_empty(&resolver->names)) {
        struct name *name = CONTAINER_OF(resolver->names.next, struct name, in_names);
        /* What was freed is in no list. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        bool is_ours = !name->has_thread;

        list_remove(&name->in_names);
        while (!list_is_empty(&name->waiting))
            list_remove(name->waiting.next);
        pthread_mutex_lock(&name->lock);
        is_ours |= name->is_posted; /* to a loop that will not run it any more */
        name->loop = NULL;
        pthread_mutex_unlock(&name->lock);
        if (is_ours)
            name_free(name);
    }
}
