/* tier.h — the shared tier as engines see it: reads that are answered from memory while that is certain to
 * hold, writes that all nodes hear of.
 *
 * What is near lies in the store, in the space that the reader names, put there in the order of the wire by
 * the worker that read it. Each near value remembers the connection and its generation, and the epoch of
 * its slot; it is answered only while both are the present ones and the connection is coherent: while all
 * writes up to max_staleness_ms ago are known to have been told. The races that this excludes, and how:
 * docs/notes. Flags and note of near values are the tier's, and that a key is missing lies there as a value
 * too: such a space is read by the functions below alone.
 *
 * What has a struct tier is for any thread, what has a struct tier_worker for that worker's. */
#pragma once
#include "client/valkey/valkey.h"
#include "nuthatch.h"

struct tier;        /* of the process: what is near, and whether it holds */
struct tier_worker; /* one worker's part: its connections, its reads under way */

struct tier_options {
    const struct valkey_options *server; /* kept by reference */
    nh_store *store;
    unsigned worker_count;
    int64_t max_staleness_ms;
    int64_t near_ttl_max_ms; /* nothing is near longer without being read anew */
    int64_t null_ttl_ms;     /* likewise, that a key is missing there */
    struct log *log;
};

enum err tier_create(const struct tier_options *options, struct tier **tier);
void tier_destroy(struct tier *tier); /* all its workers must have been destroyed */

/* The part of worker `number`. Called before the loop runs or on its thread. */
enum err tier_worker_create(struct tier *tier, unsigned number, struct loop *loop,
                            struct counters *counters, struct tier_worker **worker);
void tier_worker_stop(struct tier_worker *worker, void (*stopped)(void *owner), void *owner);
/* After `stopped`; or if the loop has ended: reads are forgotten then, and nobody is told. */
void tier_worker_destroy(struct tier_worker *worker);

struct valkey *tier_valkey(struct tier_worker *worker);
struct tier *tier_of(const struct tier_worker *worker);

/* ---- marks: until when what was read may be given -------------------------------------------------- */

struct tier_mark {
    uint32_t source;     /* index and generation of the connection: see tier_mark_make */
    uint32_t slot_epoch; /* never 0; a zeroed mark never holds */
};

/* Whether what bears `mark`, and is kept under a key of `slot`, is as the tier had it at most
 * max_staleness_ms ago. Any thread; but of a change of the key alone the mark knows nothing. Who keeps what
 * he read drops it when he is told (`changed` below, or a listener), and looks at the mark on the thread on
 * which he is: there, news that came after the change cannot be known before it. */
bool tier_mark_holds(const struct tier *tier, struct tier_mark mark, uint16_t slot, int64_t now_ms);
/* How old the newest write is that may not be known of yet: the present bound. INT64_MAX: it does not hold.
 */
int64_t tier_mark_staleness_ms(const struct tier *tier, struct tier_mark mark, int64_t now_ms);

/* ---- what is near ----------------------------------------------------------------------------------- */

enum tier_near { TIER_NEAR_VALUE, TIER_NEAR_NOTHING /* it is known to be missing */, TIER_NOT_NEAR };

/* As nh_peek and nh_borrow: `*value` must be released where there is one. Counted: see metrics.def. */
enum tier_near tier_peek(struct tier_worker *worker, int64_t now_ms, nh_key key, nh_value *value);
enum tier_near tier_borrow(struct tier_worker *worker, int64_t now_ms, nh_key key, nh_value *value);

/* ---- reading ---------------------------------------------------------------------------------------- */

enum tier_read_flags {
    TIER_FENCED = 1,  /* the tier is asked after this call began, whatever is near or under way */
    TIER_UNKEPT = 2,  /* nothing is put into the store: who reads keeps it with its mark, if it likes */
    TIER_WATCHED = 4, /* `changed` is wanted */
    TIER_HEAD = 8,    /* the first head_bytes of the value only (GETRANGE); implies UNKEPT */
};

/* What a read has found; bytes are readable during the call. */
struct tier_found {
    enum err err;      /* OK; as of struct valkey_answer; ERR_TYPE: the key holds no string; ERR_FORBIDDEN:
                        * the server does not want to tell, as `text` says */
    struct bytes text; /* with an error: the server's words, such as "WRONGTYPE …", or ours */
    bool is_there;
    struct bytes value;
    int64_t expires_at_ms; /* monotonic, counted from when it was asked; 0: never, or, where the mark is
                            * zeroed, perhaps not known. Of what is not there: it may not be taken for that
                            * any longer (null_ttl_ms, max_staleness_ms at most) */
    struct tier_mark mark; /* zeroed: may not be kept */
};

struct tier_read {
    void (*done)(struct tier_read *read, const struct tier_found *found); /* never from inside tier_read */
    /* Of TIER_WATCHED, after `done` with OK: what was found does not hold any more, or may not: the key was
     * written or what was found has expired, its slot has moved, or the connection was lost or has not been
     * coherent for longer than the bound. What cannot be watched (it came by ASK) is told so after 100 ms.
     * Once; it is the caller's again. Never from inside tier_read. How long to wait for it is the caller's
     * to bound. */
    void (*changed)(struct tier_read *read);
    /* The tier's. */
    struct tier_flight *flight;
    struct list in_flight;
    int64_t deadline_ms;
    struct tier_watch *watch;
};

/* Reads `key`, as a string of the server that has it. Reads of one key that begin on one worker before an
 * answer has come share it, unless they are FENCED, and unless it was asked before tier_forget of the key.
 * `head_bytes` of TIER_HEAD, at least 1. A deadline of 0: now and call_timeout_ms. */
void tier_read(struct tier_worker *worker, struct tier_read *read, nh_key key, unsigned flags,
               uint32_t head_bytes, int64_t deadline_ms);
/* `done` and `changed` will not be called (again): it is the caller's. */
void tier_read_end(struct tier_worker *worker, struct tier_read *read);

/* ---- writing ---------------------------------------------------------------------------------------- */

/* What this process has near of `key`, in any space that was read into, is dropped; and what any worker has
 * asked for before and not heard yet will not be kept. Called before a write is sent and again when its
 * reply has come: so who has heard of a write reads it, on this node. Any thread. */
void tier_forget(struct tier *tier, struct bytes key);
/* The same for all keys: FLUSHALL and FLUSHDB, and what cannot be told, such as a script's writes. */
void tier_forget_all(struct tier *tier);

/* ---- engines that keep what they read themselves ---------------------------------------------------- */

struct tier_listener {
    /* A key that begins with `prefix` has changed, or may have. On the thread of the worker that was told,
     * by several of them for one change. What a lost connection or a slot that has moved takes with it is
     * not told: marks do not hold then. */
    void (*invalidated)(void *owner, struct bytes key);
    void *owner;
    struct bytes prefix; /* kept by reference; empty: every key */
    struct list in_tier; /* the tier's */
};
/* Before any worker runs. `listener` is the tier's until it is destroyed. */
void tier_listen(struct tier *tier, struct tier_listener *listener);

/* ---- what is told of it ------------------------------------------------------------------------------ */

struct tier_node_facts {
    char address[VALKEY_HOST_BYTES_MAX + 9];
    bool is_primary, is_open, is_left_alone;
    uint32_t slot_count;
    char slots[64]; /* "0-5460", "0-99,200-299"; ends in "…" if there are more ranges than fit */
    int64_t coherence_age_ms; /* INT64_MAX: nothing is known */
    uint32_t in_flight;
    uint64_t round_trips; /* reads that were measured; the times of the newest below, in µs, as upper bounds
                           * of buckets that are a quarter wide at most */
    uint32_t p50_us, p99_us, max_us;
};
/* Fills in at most `capacity` of this worker's servers and returns how many there are. On the worker's
 * thread. */
size_t tier_worker_facts(struct tier_worker *worker, struct tier_node_facts *facts, size_t capacity);
