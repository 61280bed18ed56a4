#include "upstream.h"
#include "base/compiler.h"
#include "cache_key.h"
#include "upstream_fields.h"
#include <stdlib.h>

/* Splits "http://authority/base"; the base is given without slashes at its end. */
static bool parse_origin_url(struct bytes url, struct bytes *base, struct bytes *authority)
{
    static const struct bytes schemes[] = {BYTES_INIT("http://"), BYTES_INIT("https://")};
    struct bytes rest = {0};
    const char *slash;

    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (url.size > schemes[i].size && bytes_equal_nocase(bytes_first(url, schemes[i].size), schemes[i]))
            rest = bytes_after(url, schemes[i].size);
    if (rest.size == 0)
        return false;
    while (rest.data[rest.size - 1] == '/') {
        rest.size--;
        url.size--;
        if (rest.size == 0)
            return false;
    }
    slash = memchr(rest.data, '/', rest.size);
    *authority = slash == NULL ? rest : bytes_first(rest, (size_t)(slash - rest.data));
    *base = url;
    for (size_t i = 0; i < authority->size; i++)
        if (authority->data[i] == '@' || authority->data[i] == '?' || authority->data[i] == '\\')
            return false;
    return authority->size > 0 && authority->data[0] != ':' &&
           target_is_plain(bytes_after(rest, authority->size), *authority);
}

/* ---- what was asked for -------------------------------------------------------------------------- */

static bool is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* False if there is no memory; what has been copied is there. */
static bool copy_text(const char *from, char **to)
{
    *to = from != NULL ? strdup(from) : NULL;
    return (from == NULL) == (*to == NULL);
}

#define COPY_integer(field)  true
#define COPY_size(field)     true
#define COPY_duration(field) true
#define COPY_answer(field)   true
#define COPY_url(field)      copy_text(from->field, &to->field)

static bool policy_copy(const struct upstream_policy *from, struct upstream_policy *to)
{
    bool is_copied = true;

    *to = *from;
#define UPSTREAM_OPTION(type, name, field, fallback, low, high, help) is_copied &= COPY_##type(field);
#include "tables/upstream_options.def"
#undef UPSTREAM_OPTION
    return is_copied;
}

#define FREE_integer(field)
#define FREE_size(field)
#define FREE_duration(field)
#define FREE_answer(field)
#define FREE_url(field) free(policy->field);

static void policy_fini(struct upstream_policy *policy)
{
#define UPSTREAM_OPTION(type, name, field, fallback, low, high, help) FREE_##type(field)
#include "tables/upstream_options.def"
#undef UPSTREAM_OPTION
}

#define SAME_integer(field)  a->field == b->field
#define SAME_size(field)     a->field == b->field
#define SAME_duration(field) a->field == b->field
#define SAME_answer(field)   a->field == b->field
#define SAME_url(field)      is_same_text(a->field, b->field)

static bool policy_is_same(const struct upstream_policy *a, const struct upstream_policy *b)
{
    return true
#define UPSTREAM_OPTION(type, name, field, fallback, low, high, help) &&SAME_##type(field)
#include "tables/upstream_options.def"
#undef UPSTREAM_OPTION
        ;
}

/* ---- life ---------------------------------------------------------------------------------------- */

static enum err take_url(struct upstream *upstream)
{
    struct bytes base, authority;

    if (upstream->policy.origin_url == NULL ||
        !parse_origin_url(bytes_of_text(upstream->policy.origin_url), &base, &authority) ||
        base.size > CACHE_KEY_PRIMARY_MAX / 2)
        return ERR_SYNTAX;
    buffer_append(&upstream->base_url, base);
    if (upstream->base_url.failed)
        return ERR_NO_MEMORY;
    upstream->authority = bytes_of(upstream->base_url.data + (authority.data - base.data), authority.size);
    return OK;
}

enum err upstream_create(const struct upstream_spec *spec, struct upstream **upstream)
{
    const struct upstream_policy *policy = &spec->policy;
    struct upstream *made = calloc(1, sizeof *made);
    enum err err;

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->reference_count = 1;
    made->origin = (struct origin_options){.connect_timeout_ms = policy->connect_timeout_ms,
                                           .first_byte_timeout_ms = policy->first_byte_timeout_ms,
                                           .total_timeout_ms = policy->total_timeout_ms,
                                           .connections_max = (uint32_t)policy->origin_connections_max};
    err = policy_copy(policy, &made->policy) && copy_text(spec->name, &made->name) ? OK : ERR_NO_MEMORY;
    if (err == OK)
        err = take_url(made);
    if (err != OK) {
        upstream_release(made);
        return err;
    }
    *upstream = made;
    return OK;
}

struct upstream *upstream_hold(struct upstream *upstream)
{
    atomic_fetch_add(&upstream->reference_count, 1);
    return upstream;
}

void upstream_release(struct upstream *upstream)
{
    if (atomic_fetch_sub(&upstream->reference_count, 1) > 1)
        return;
    policy_fini(&upstream->policy);
    free(upstream->name);
    buffer_fini(&upstream->base_url);
    free(upstream);
}

bool upstream_is(const struct upstream *upstream, const struct upstream_spec *spec)
{
    return is_same_text(upstream->name, spec->name) && policy_is_same(&upstream->policy, &spec->policy);
}

/* ---- one worker's part --------------------------------------------------------------------------- */

enum err upstream_worker_create(struct upstream *upstream, struct loop *loop,
                                struct upstream_worker **worker)
{
    struct origin_options options = upstream->origin;
    struct upstream_worker *made = calloc(1, sizeof *made);
    enum err err;

    if (made == NULL)
        return ERR_NO_MEMORY;
    options.loop = loop;
    err = origin_create(&options, &made->origin);
    if (err != OK) {
        free(made);
        return err;
    }
    made->upstream = upstream_hold(upstream);
    list_init(&made->in_worker);
    *worker = made;
    return OK;
}

void upstream_worker_destroy(struct upstream_worker *worker)
{
    list_remove(&worker->in_worker);
    origin_destroy(worker->origin);
    upstream_release(worker->upstream);
    free(worker);
}
