#include "journal.h"
#include "secret_names.h"
#include <pthread.h>
#include <stdlib.h>

struct journal {
    pthread_mutex_t lock; /* of all below */
    struct journal_entry **ring;
    size_t entries_max, first, count;
    size_t bytes;
    uint64_t last_number;
    bool shows_secrets;
};

struct journal *journal_create(size_t entries_max, bool shows_secrets)
{
    struct journal *journal = calloc(1, sizeof *journal);

    if (journal == NULL)
        return NULL;
    pthread_mutex_init(&journal->lock, NULL);
    journal->entries_max = entries_max;
    journal->shows_secrets = shows_secrets;
    journal->ring = calloc(entries_max, sizeof(struct journal_entry *));
    if (journal->ring == NULL) {
        journal_destroy(journal);
        return NULL;
    }
    return journal;
}

void journal_entry_release(struct journal_entry *entry)
{
    if (atomic_fetch_sub(&entry->holders, 1) != 1)
        return;
    journal_messages_fini(&entry->messages);
    free(entry);
}

/* The lock is held. */
static void drop_first(struct journal *journal)
{
    struct journal_entry *entry = journal->ring[journal->first];

    journal->first = (journal->first + 1) % journal->entries_max;
    journal->count--;
    journal->bytes -= entry->size;
    journal_entry_release(entry);
}

void journal_clear(struct journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    while (journal->count > 0)
        drop_first(journal);
    pthread_mutex_unlock(&journal->lock);
}

void journal_destroy(struct journal *journal)
{
    if (journal == NULL)
        return;
    journal_clear(journal);
    pthread_mutex_destroy(&journal->lock);
    free(journal->ring);
    free(journal);
}

/* ---- copying ------------------------------------------------------------------------------------- */

/* Where the copies of one request's parts go. */
struct copier {
    char *at;
    bool shows_secrets;
};

static struct bytes copy(struct copier *copier, struct bytes bytes)
{
    struct bytes copied = {copier->at, bytes.size};

    if (bytes.size > 0)
        memcpy(copier->at, bytes.data, bytes.size);
    copier->at += bytes.size;
    return copied;
}

static struct bytes value_shown(const struct copier *copier, struct bytes name, struct bytes value)
{
    return copier->shows_secrets || !is_secret_name(name) ? value : BYTES(SECRET_PLACEHOLDER);
}

/* The query with the values of secret parameters replaced. */
static struct bytes copy_query(struct copier *copier, struct bytes query)
{
    struct bytes copied = {copier->at, 0};

    while (query.size > 0) {
        const char *end = memchr(query.data, '&', query.size);
        struct bytes pair = end != NULL ? bytes_first(query, (size_t)(end - query.data)) : query;
        const char *equals = pair.size > 0 ? memchr(pair.data, '=', pair.size) : NULL;
        size_t name_size = equals != NULL ? (size_t)(equals - pair.data) : pair.size;
        if (equals != NULL) {
            copy(copier, bytes_first(pair, name_size + 1));
            copy(copier,
                 value_shown(copier, bytes_first(pair, name_size), bytes_after(pair, name_size + 1)));
        } else {
            copy(copier, pair);
        }
        query = bytes_after(query, pair.size);
        if (end != NULL) {
            copy(copier, BYTES("&"));
            query = bytes_after(query, 1);
        }
    }
    copied.size = (size_t)(copier->at - copied.data);
    return copied;
}

/* How many bytes the copies take at most: a value may be shorter than what stands for it. */
static size_t copies_bytes(const struct http_request *request, size_t body_bytes)
{
    size_t placeholder = sizeof SECRET_PLACEHOLDER, bytes = request->method_name.size + request->path.size +
                                                            request->authority.size + request->query.size +
                                                            body_bytes;

    for (size_t i = 0; i < request->fields.count; i++)
        bytes += request->fields.list[i].name.size + request->fields.list[i].value.size + placeholder;
    for (size_t i = 0; i < request->query.size; i++)
        bytes += request->query.data[i] == '=' ? placeholder : 0;
    return bytes;
}

static struct journal_entry *entry_create(const struct journal *journal, const struct request_view *view,
                                          struct bytes rule)
{
    const struct http_request *request = view->request;
    size_t body_bytes = view->body.size < JOURNAL_BODY_BYTES_MAX ? view->body.size : JOURNAL_BODY_BYTES_MAX;
    size_t fields_bytes = request->fields.count * sizeof *request->fields.list;
    size_t size =
        sizeof(struct journal_entry) + fields_bytes + copies_bytes(request, body_bytes) + rule.size;
    struct journal_entry *entry = malloc(size);
    struct copier copier;

    if (entry == NULL)
        return NULL;
    *entry = (struct journal_entry){.holders = 1, .size = size, .body_bytes = view->body.size};
    copier = (struct copier){entry->data + fields_bytes, journal->shows_secrets};
    entry->request = *request;
    entry->request.scheme = (struct bytes){0};
    entry->request.method_name = copy(&copier, request->method_name);
    entry->request.authority = copy(&copier, request->authority);
    entry->request.path = copy(&copier, request->path);
    entry->request.query = copy_query(&copier, request->query);
    entry->rule = copy(&copier, rule);
    entry->body = copy(&copier, bytes_first(view->body, body_bytes));
    entry->request.fields.list = (struct http_field *)(void *)entry->data;
    for (size_t i = 0; i < request->fields.count; i++) {
        const struct http_field *field = &request->fields.list[i];
        struct bytes name = copy(&copier, field->name);
        entry->request.fields.list[i] = (struct http_field){
            field->header, name, copy(&copier, value_shown(&copier, field->name, field->value))};
    }
    return entry;
}

/* Makes room for `bytes` more. The lock is held. */
static void make_room(struct journal *journal, size_t bytes)
{
    while (journal->count > 0 && journal->bytes + bytes > JOURNAL_BYTES_MAX)
        drop_first(journal);
}

uint64_t journal_add(struct journal *journal, struct now now, const struct request_view *view,
                     struct bytes rule, int status)
{
    struct journal_entry *entry = entry_create(journal, view, rule);
    uint64_t number;

    if (entry == NULL)
        return 0;
    entry->wall_ms = now.wall_ms;
    entry->status = status;
    pthread_mutex_lock(&journal->lock);
    if (journal->count == journal->entries_max)
        drop_first(journal);
    make_room(journal, entry->size);
    entry->number = number = ++journal->last_number;
    journal->ring[(journal->first + journal->count++) % journal->entries_max] = entry;
    journal->bytes += entry->size;
    pthread_mutex_unlock(&journal->lock);
    return number;
}

/* Numbers follow each other in the ring. The lock is held. */
static struct journal_entry *find_entry(const struct journal *journal, uint64_t number)
{
    uint64_t first_number;

    if (journal->count == 0)
        return NULL;
    first_number = journal->ring[journal->first]->number;
    if (number < first_number || number - first_number >= journal->count)
        return NULL;
    return journal->ring[(journal->first + (size_t)(number - first_number)) % journal->entries_max];
}

void journal_add_message(struct journal *journal, uint64_t number, struct now now,
                         enum journal_message_kind kind, int code, struct bytes bytes)
{
    struct journal_entry *entry;

    pthread_mutex_lock(&journal->lock);
    entry = find_entry(journal, number);
    if (entry != NULL) {
        size_t size = journal_messages_add(&entry->messages, now.wall_ms, kind, code, bytes);
        entry->size += size;
        journal->bytes += size;
        make_room(journal, 0); /* the entry itself may go: it is the oldest then */
    }
    pthread_mutex_unlock(&journal->lock);
}

struct journal_entry **journal_hold(struct journal *journal, size_t *count)
{
    struct journal_entry **list;

    pthread_mutex_lock(&journal->lock);
    *count = journal->count;
    list = *count > 0 ? calloc(*count, sizeof *list) : NULL;
    if (list == NULL)
        *count = 0;
    for (size_t i = 0; i < *count; i++) {
        list[i] = journal->ring[(journal->first + i) % journal->entries_max];
        atomic_fetch_add(&list[i]->holders, 1);
    }
    pthread_mutex_unlock(&journal->lock);
    return list;
}
