/* journal.h — the requests that a mock has had, for tests that want to know: the newest, bounded in number
 * and in bytes. Shared by the workers; any thread may call any function. */
#pragma once
#include "base/now.h"
#include "journal_messages.h"
#include "request_view.h"
#include <stdatomic.h>

enum {
    JOURNAL_ENTRIES_MAX = 100000,
    JOURNAL_BYTES_MAX = 32 << 20,
    JOURNAL_BODY_BYTES_MAX = 64 << 10, /* of each body: the rest is left out */
};

/* Immutable but for its messages. Whoever got one holds it until journal_entry_release. */
struct journal_entry {
    _Atomic uint32_t holders;
    uint64_t number; /* from 1, in the order they came */
    int64_t wall_ms;
    struct http_request request;      /* its bytes lie in `data` */
    struct bytes body;                /* its first JOURNAL_BODY_BYTES_MAX */
    size_t body_bytes;                /* of all of it */
    struct bytes rule;                /* its name, or empty */
    int status;                       /* of the answer; 0: there was none */
    struct journal_messages messages; /* of a WebSocket */
    size_t size;                      /* of all this in memory; the journal's */
    char data[];
};

struct journal; /* opaque: journal.c */

/* Keeps `entries_max` requests; with `shows_secrets` as they came, else without what is_secret_name. Null
 * without memory. */
struct journal *journal_create(size_t entries_max, bool shows_secrets);
void journal_destroy(struct journal *journal);

/* Adds a request; the oldest make room. Returns its number; 0 without memory: it is left out. */
uint64_t journal_add(struct journal *journal, struct now now, const struct request_view *view,
                     struct bytes rule, int status);

/* Adds what a client said over the WebSocket that the request `number` began, if it is still there. */
void journal_add_message(struct journal *journal, uint64_t number, struct now now,
                         enum journal_message_kind kind, int code, struct bytes bytes);

/* Holds all entries for the caller, the oldest first, in a list that he frees. Null with `*count` 0 if
 * there are none, or without memory. */
struct journal_entry **journal_hold(struct journal *journal, size_t *count);
void journal_entry_release(struct journal_entry *entry);

void journal_clear(struct journal *journal);
