/* kv_tier_memcached_meta_read.c — mg and me in front of the tier. What only looks is answered from what is
 * near; what may change the item, or tell one of many to recache it, is a script. */
#include "engine/kv/tier/kv_tier_memcached_meta.h"
#include "engine/kv/tier/kv_tier_scripts.h"
#include <inttypes.h>
#include <stdio.h>

/* An item on its way into an answer. */
struct shown {
    const struct meta *meta;
    struct bytes raw;
    struct kv_tier_item item;
    struct meta_life life;
    char mark; /* 'W', 'Z' or none */
};

bool kv_tier_meta_is_possible(const struct kv_call *call, const struct meta *meta)
{
    if (meta_has(meta, 'h') || meta_has(meta, 'l'))
        memcached_client_error(call, BYTES("a shared tier does not keep whether and when an item was read: "
                                           "leave out h and l"));
    else if (meta_has(meta, 'E'))
        memcached_client_error(call, BYTES("with a shared tier an item's number follows from its value: "
                                           "leave out E"));
    else
        return true;
    return false;
}

static bool wants_version(const struct meta *meta) { return meta_has(meta, 'c'); }

/* Whether when it expires must be known: what is near has an end of its own. */
static bool wants_time(const struct meta *meta) { return meta_has(meta, 't') || meta_has(meta, 'R'); }

/* ---- saying ----------------------------------------------------------------------------------------- */

static void say_no_memory(const struct kv_call *call) { memcached_refused(call, NH_NO_MEMORY); }

static void say_hit(const struct kv_call *call, const struct shown *shown)
{
    const struct meta *meta = shown->meta;
    struct meta_line line;
    uint64_t version = 0;

    line.size = 0;
    if (wants_version(meta) && !kv_tier_item_version(shown->raw, &version)) {
        say_no_memory(call);
        return;
    }
    for (uint32_t i = 0; i < meta->flag_count; i++) {
        switch (meta->flags[i].data[0]) {
        case 'c': meta_put_number(&line, 'c', version); break;
        case 'f': meta_put_number(&line, 'f', shown->item.flags); break;
        case 'k': meta_put_key(&line, meta->shown_key, meta_has(meta, 'b')); break;
        case 'O': meta_put(&line, 'O', bytes_after(meta->flags[i], 1)); break;
        case 's': meta_put_number(&line, 's', shown->item.value.size); break;
        case 't': meta_put_time_left(call, &line, meta_expires_at_ms(call, meta, &shown->life, i)); break;
        default: break; /* asks for nothing that is shown */
        }
    }
    if (shown->mark == 'Z')
        meta_put(&line, 'Z', BYTES(""));
    if (shown->item.is_stale)
        meta_put(&line, 'X', BYTES(""));
    if (shown->mark == 'W')
        meta_put(&line, 'W', BYTES(""));
    meta_say(call, meta_has(meta, 'v') ? "VA" : "HD", &line,
             meta_has(meta, 'v') ? &shown->item.value : NULL);
}

static void say_miss(const struct kv_call *call, const struct meta *meta)
{
    struct meta_line line;

    line.size = 0;
    if (meta_has(meta, 'q'))
        return;
    meta_put_echo(&line, meta);
    meta_say(call, "EN", &line, NULL);
}

/* ---- looking ---------------------------------------------------------------------------------------- */

/* As the flag R, if there is one, sees it: T counts for those behind it. */
static bool is_nearly_over(const struct kv_call *call, const struct meta *meta,
                           const struct meta_life *life)
{
    for (uint32_t i = 0; i < meta->flag_count; i++)
        if (meta->flags[i].data[0] == 'R') {
            int64_t at_ms = meta_expires_at_ms(call, meta, life, i);
            return at_ms != 0 && meta_left_s(call, at_ms) < meta->recache_s;
        }
    return false;
}

static struct shown shown_of(const struct meta *meta, struct bytes raw, int64_t expires_at_ms)
{
    struct kv_tier_item item = kv_tier_item_of(raw);

    return (struct shown){.meta = meta,
                          .raw = raw,
                          .item = item,
                          .life.old_expires_at_ms = expires_at_ms,
                          .mark = item.is_won ? 'Z' : '\0'};
}

/* Whether who asks may be the one to recache it: one of them is. */
static bool is_to_be_won(const struct kv_call *call, const struct shown *shown)
{
    return !shown->item.is_won && (shown->item.is_stale || is_nearly_over(call, shown->meta, &shown->life));
}

static void parse(const struct kv_call *call, struct meta *meta)
{
    struct bytes error;

    if (!meta_parse(call, 2, call->argument_count - 2, meta, &error))
        UNREACHABLE(); /* it was parsed before */
}

static void go_show(struct kv_tier_request *request);

static void got(struct tier_read *read, const struct tier_found *found)
{
    struct kv_tier_request *request = CONTAINER_OF(read, struct kv_tier_request, read);
    struct kv_call call = kv_tier_late_call(request, NULL);
    struct shown shown;
    struct meta meta;

    request->cancel = NULL;
    parse(&call, &meta);
    shown = shown_of(&meta, found->value, found->expires_at_ms);
    if (found->err == OK)
        counters_add(call.kv->counters, found->is_there ? METRIC_get_hits : METRIC_get_misses, 1);
    if (found->err == OK && found->is_there && is_to_be_won(&call, &shown)) {
        request->writes = true;
        request->session->write_count++;
        go_show(request);
        return;
    }
    call.reply = kv_tier_request_reply(request);
    if (call.reply != NULL && found->err != OK)
        kv_tier_say_not_read(call.reply, found);
    else if (call.reply != NULL && found->is_there)
        say_hit(&call, &shown);
    else if (call.reply != NULL)
        say_miss(&call, &meta);
    kv_tier_request_end(request);
}

static void go_look(struct kv_tier_request *request)
{
    struct kv_call call = kv_tier_late_call(request, NULL);
    struct meta meta;

    parse(&call, &meta);
    kv_tier_request_read(request, meta.key, request->is_fenced, got);
}

/* ---- changing on the way ---------------------------------------------------------------------------- */

static void say_shown(const struct kv_call *call, const struct resp_node *node)
{
    const struct resp_node *raw = kv_tier_member(node, 0), *left = kv_tier_member(node, 1),
                           *mark = kv_tier_member(node, 2);
    struct shown shown;
    struct meta meta;

    parse(call, &meta);
    if (raw->type != RESP_BULK) {
        say_miss(call, &meta);
        return;
    }
    shown = shown_of(&meta, raw->bytes, left->integer >= 0 ? call->now.mono_ms + left->integer : 0);
    shown.mark = mark->bytes.size > 0 ? mark->bytes.data[0] : '\0';
    shown.life.is_new = shown.mark == 'n';
    if (shown.life.is_new)
        shown.mark = 'W'; /* its maker is to fill it */
    say_hit(call, &shown);
}

/* What R means where T is before it, which the script need not know. */
static void add_recache(struct kv_tier_words *words, const struct kv_call *call, const struct meta *meta)
{
    const struct meta_life life = {0};

    for (uint32_t i = 0; i < meta->flag_count; i++) {
        if (meta->flags[i].data[0] == 'T') {
            bool is_over = meta_has(meta, 'R') && is_nearly_over(call, meta, &life);
            kv_tier_add_word(words, is_over ? BYTES("y") : BYTES(""));
            return;
        }
        if (meta->flags[i].data[0] == 'R') {
            kv_tier_add_number(words, meta->recache_s);
            return;
        }
    }
    kv_tier_add_word(words, BYTES(""));
}

static void go_show(struct kv_tier_request *request)
{
    struct kv_call call = kv_tier_late_call(request, NULL);
    const struct meta_life as_new = {.is_new = true};
    struct kv_tier_words words = {.count = 0};
    struct meta meta;

    parse(&call, &meta);
    kv_tier_add_script(&words, kv_tier_script_show, kv_tier_meta_key(&meta));
    if (meta_has(&meta, 'T'))
        kv_tier_add_ttl(&words, meta.ttl_ms);
    else
        kv_tier_add_word(&words, BYTES(""));
    if (meta_has(&meta, 'N'))
        kv_tier_add_ttl(&words,
                        meta_ttl_ms(&call, meta_expires_at_ms(&call, &meta, &as_new, meta.flag_count)));
    else
        kv_tier_add_word(&words, BYTES(""));
    add_recache(&words, &call, &meta);
    kv_tier_send_words(request, &words, kv_tier_meta_key(&meta), say_shown);
}

/* ---- mg --------------------------------------------------------------------------------------------- */

/* True if it was answered from what is near. */
static bool say_near(const struct kv_call *call, const struct meta *meta, bool *must_win)
{
    struct buffer copy = {0};
    struct shown shown;
    nh_value value;

    switch (tier_peek(kv_tier_of(call->kv)->worker, call->now.mono_ms, meta->key, &value)) {
    case TIER_NOT_NEAR: return false;
    case TIER_NEAR_NOTHING:
        counters_add(call->kv->counters, METRIC_get_misses, 1);
        say_miss(call, meta);
        return true;
    case TIER_NEAR_VALUE: break;
    }
    counters_add(call->kv->counters, METRIC_get_hits, 1);
    shown = shown_of(meta, kv_value_bytes(call, &value, &copy), 0);
    *must_win = !copy.failed && is_to_be_won(call, &shown);
    if (copy.failed)
        say_no_memory(call);
    else if (!*must_win)
        say_hit(call, &shown);
    nh_release(call->kv->store, &value);
    buffer_fini(&copy);
    return !*must_win;
}

void kv_tier_memcached_mg(const struct kv_call *call)
{
    struct meta meta;
    struct bytes error;
    bool is_script;

    if (call->argument_count - 2 > META_FLAGS_MAX) {
        memcached_client_error(call, BYTES("options flags are too long"));
        return;
    }
    if (!meta_parse(call, 2, call->argument_count - 2, &meta, &error)) {
        memcached_client_error(call, error);
        return;
    }
    if (!kv_tier_meta_is_possible(call, &meta))
        return;
    is_script = meta_has(&meta, 'T') || meta_has(&meta, 'N');
    if (!is_script && !wants_time(&meta) && !kv_tier_must_ask(call) && say_near(call, &meta, &is_script))
        return;
    kv_tier_request_begin(call, is_script, is_script ? go_show : go_look);
}

/* ---- me --------------------------------------------------------------------------------------------- */

/* The key of me, which may be in base64. False: it is none. */
static bool read_debug_key(const struct kv_call *call, struct meta *meta)
{
    size_t size;

    meta->key = kv_key(call, 1);
    meta->shown_key = call->arguments[1];
    if (call->argument_count < 3 || !bytes_equal(call->arguments[2], BYTES("b")))
        return true;
    if (!meta_decode(call->arguments[1], meta->key_bytes, sizeof meta->key_bytes, &size))
        return false;
    meta->key = (nh_key){meta->key_bytes, size, kv_space(call)};
    return true;
}

/* What there is to tell: nobody keeps when it was read. */
static void say_debug(const struct kv_call *call, const struct meta *meta, const struct tier_found *found)
{
    struct kv_tier_item item = kv_tier_item_of(found->value);
    int64_t left_s = found->expires_at_ms == 0 ? -1 : meta_left_s(call, found->expires_at_ms);
    char text[META_LINE_BYTES_MAX];
    uint64_t version;
    int size;

    if (!kv_tier_item_version(found->value, &version)) {
        say_no_memory(call);
        return;
    }
    size = snprintf(text, sizeof text, "ME %.*s exp=%" PRId64 " cas=%" PRIu64 " cls=0 size=%zu",
                    BYTES_PRINTF(meta->shown_key), left_s, version, meta->key.size + item.value.size);
    reply_say(call->reply, &(struct outcome){.kind = OUTCOME_text, .bytes = bytes_of(text, (size_t)size)});
}

static void got_debug(struct tier_read *read, const struct tier_found *found)
{
    struct kv_tier_request *request = CONTAINER_OF(read, struct kv_tier_request, read);
    struct reply *reply = kv_tier_request_reply(request);
    struct kv_call call = kv_tier_late_call(request, reply);
    struct meta meta;

    request->cancel = NULL;
    (void)read_debug_key(&call, &meta);
    if (reply != NULL && found->err != OK)
        kv_tier_say_not_read(reply, found);
    else if (reply != NULL && !found->is_there)
        meta_say(&call, "EN", NULL, NULL);
    else if (reply != NULL)
        say_debug(&call, &meta, found);
    kv_tier_request_end(request);
}

static void go_debug(struct kv_tier_request *request)
{
    struct kv_call call = kv_tier_late_call(request, NULL);
    struct meta meta;

    (void)read_debug_key(&call, &meta);
    kv_tier_request_read(request, meta.key, request->is_fenced, got_debug);
}

void kv_tier_memcached_me(const struct kv_call *call)
{
    struct meta meta;

    if (call->argument_count < 2 || call->argument_count > 3 || !read_debug_key(call, &meta))
        memcached_client_error(call, MEMCACHED_BAD_FORMAT);
    else
        kv_tier_request_begin(call, false, go_debug);
}
