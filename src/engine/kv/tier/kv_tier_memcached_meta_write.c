/* kv_tier_memcached_meta_write.c — ms, md and ma in front of the tier. */
#include "base/number.h"
#include "engine/kv/tier/kv_tier_memcached_meta.h"
#include "engine/kv/tier/kv_tier_scripts.h"

static bool has_code(struct bytes code, const char *wanted)
{
    return bytes_equal(code, bytes_of_text(wanted));
}

/* The two letters that a script has answered, as a code of static bytes. */
static const char *code_of(struct bytes code)
{
    return has_code(code, "HD") ? "HD" : has_code(code, "EX") ? "EX" : has_code(code, "NS") ? "NS" : "NF";
}

/* ---- ms ---------------------------------------------------------------------------------------------- */

struct storing {
    struct meta meta;
    struct kv_tier_item item;
};

static bool is_extension(const struct meta *meta) { return meta->mode == 'A' || meta->mode == 'P'; }

/* Set and replace compare, and so does what extends. */
static bool compares(const struct meta *meta) { return meta_has(meta, 'C') && meta->mode != 'E'; }

static bool read_storing(const struct kv_call *call, struct storing *storing, struct bytes *error)
{
    if (!meta_parse(call, 3, call->argument_count - 4, &storing->meta, error))
        return false;
    storing->item = (struct kv_tier_item){.value = call->arguments[call->argument_count - 1],
                                          .flags = storing->meta.client_flags};
    return true;
}

static void parse_storing(const struct kv_call *call, struct storing *storing)
{
    struct bytes error;

    if (!read_storing(call, storing, &error))
        UNREACHABLE(); /* it was parsed before */
}

static void say_stored(const struct kv_call *call, const struct meta *meta, const char *code,
                       uint64_t version)
{
    bool is_stored = has_code(bytes_of_text(code), "HD");
    struct meta_line line;

    line.size = 0;
    if (is_stored && meta_has(meta, 'q'))
        return;
    for (uint32_t i = 0; i < meta->flag_count; i++) {
        switch (meta->flags[i].data[0]) {
        case 'O': meta_put(&line, 'O', bytes_after(meta->flags[i], 1)); break;
        case 'k': meta_put_key(&line, meta->shown_key, meta_has(meta, 'b')); break;
        case 'c': meta_put_number(&line, 'c', is_stored ? version : 0); break;
        default: break; /* asks for nothing that is shown */
        }
    }
    meta_say(call, code, &line, NULL);
}

/* Of SET. */
static void say_set(const struct kv_call *call, const struct resp_node *node)
{
    bool is_stored = node->type == RESP_SIMPLE, is_known = true;
    struct buffer copy = {0};
    struct storing storing;
    uint64_t version = 0;

    parse_storing(call, &storing);
    if (is_stored && meta_has(&storing.meta, 'c'))
        is_known = kv_tier_item_version(kv_tier_item_string(&storing.item, &copy), &version);
    if (is_known && !copy.failed)
        say_stored(call, &storing.meta, is_stored ? "HD" : "NS", version);
    else
        memcached_refused(call, NH_NO_MEMORY);
    buffer_fini(&copy);
}

/* Of a script. */
static void say_changed(const struct kv_call *call, const struct resp_node *node)
{
    struct storing storing;

    parse_storing(call, &storing);
    say_stored(call, &storing.meta, code_of(kv_tier_member(node, 0)->bytes),
               kv_tier_version_of(kv_tier_member(node, 1)));
}

static void go_set(struct kv_tier_request *request)
{
    struct kv_call call = kv_tier_late_call(request, NULL);
    struct kv_tier_words words = {.count = 0};
    struct buffer copy = {0};
    struct storing storing;

    parse_storing(&call, &storing);
    kv_tier_add_word(&words, BYTES("SET"));
    kv_tier_add_word(&words, kv_tier_meta_key(&storing.meta));
    kv_tier_add_word(&words, kv_tier_item_string(&storing.item, &copy));
    kv_tier_add_px(&words, storing.meta.ttl_ms);
    if (storing.meta.mode == 'E')
        kv_tier_add_word(&words, BYTES("NX"));
    else if (storing.meta.mode == 'R')
        kv_tier_add_word(&words, BYTES("XX"));
    if (copy.failed)
        kv_tier_request_fail(request, "OOM there is no memory to ask the shared tier");
    else
        kv_tier_send_words(request, &words, kv_tier_meta_key(&storing.meta), say_set);
    buffer_fini(&copy);
}

static void add_version(struct kv_tier_words *words, const struct meta *meta)
{
    if (meta_has(meta, 'C'))
        kv_tier_add_version(words, meta->if_version);
    else
        kv_tier_add_word(words, BYTES(""));
}

static void go_compare_and_set(struct kv_tier_request *request)
{
    struct kv_call call = kv_tier_late_call(request, NULL);
    struct kv_tier_words words = {.count = 0};
    struct storing storing;
    char flags[4];

    parse_storing(&call, &storing);
    kv_tier_item_write_flags(storing.item.flags, flags);
    kv_tier_add_script(&words, kv_tier_script_put, kv_tier_meta_key(&storing.meta));
    kv_tier_add_word(&words, storing.item.value);
    kv_tier_add_word(&words, bytes_of(flags, sizeof flags));
    kv_tier_add_ttl(&words, storing.meta.ttl_ms);
    add_version(&words, &storing.meta);
    kv_tier_add_word(&words, meta_has(&storing.meta, 'I') ? BYTES("1") : BYTES(""));
    kv_tier_send_words(request, &words, kv_tier_meta_key(&storing.meta), say_changed);
}

static void go_extend(struct kv_tier_request *request)
{
    struct kv_call call = kv_tier_late_call(request, NULL);
    struct kv_tier_words words = {.count = 0};
    struct storing storing;

    parse_storing(&call, &storing);
    kv_tier_add_script(&words, kv_tier_script_extend, kv_tier_meta_key(&storing.meta));
    kv_tier_add_word(&words, storing.item.value);
    kv_tier_add_word(&words, storing.meta.mode == 'A' ? BYTES("A") : BYTES("P"));
    add_version(&words, &storing.meta);
    kv_tier_memcached_add_bytes_max(&words, &call);
    kv_tier_send_words(request, &words, kv_tier_meta_key(&storing.meta), say_changed);
}

void kv_tier_memcached_ms(const struct kv_call *call)
{
    struct storing storing;
    struct bytes error;

    if (call->argument_count - 4 > META_FLAGS_MAX - 1) {
        memcached_client_error(call, BYTES("options flags too long"));
        return;
    }
    if (!read_storing(call, &storing, &error)) {
        memcached_client_error(call, error);
        return;
    }
    if (storing.meta.mode != '\0' && strchr("SEAPR", storing.meta.mode) == NULL) {
        memcached_client_error(call, BYTES("invalid mode for ms M token"));
        return;
    }
    if (!kv_tier_meta_is_possible(call, &storing.meta))
        return;
    if (memcached_is_too_large(storing.item.value))
        kv_tier_memcached_drop_old(call, kv_tier_meta_key(&storing.meta));
    else if (is_extension(&storing.meta))
        kv_tier_request_begin(call, true, go_extend);
    else
        kv_tier_request_begin(call, true, compares(&storing.meta) ? go_compare_and_set : go_set);
}

/* ---- md ---------------------------------------------------------------------------------------------- */

/* As memcached, md and ma have one word for whatever is wrong with a flag. */
static bool parse_all(const struct kv_call *call, struct meta *meta)
{
    uint32_t count = call->argument_count - 2;
    struct bytes error;

    if (count > META_FLAGS_MAX)
        memcached_client_error(call, BYTES("options flags too long"));
    else if (!meta_parse(call, 2, count, meta, &error))
        memcached_client_error(call, BYTES("invalid or duplicate flag"));
    else
        return kv_tier_meta_is_possible(call, meta);
    return false;
}

static void parse_again(const struct kv_call *call, struct meta *meta)
{
    struct bytes error;

    if (!meta_parse(call, 2, call->argument_count - 2, meta, &error))
        UNREACHABLE(); /* it was parsed before */
}

static void say_deleted(const struct kv_call *call, const struct resp_node *node)
{
    const char *code =
        node->type == RESP_INTEGER ? (node->integer == 1 ? "HD" : "NF") : code_of(node->bytes);
    struct meta_line line;
    struct meta meta;

    line.size = 0;
    parse_again(call, &meta);
    if (has_code(bytes_of_text(code), "HD") && meta_has(&meta, 'q'))
        return;
    meta_put_echo(&line, &meta);
    meta_say(call, code, &line, NULL);
}

static void go_delete(struct kv_tier_request *request)
{
    struct kv_call call = kv_tier_late_call(request, NULL);
    struct kv_tier_words words = {.count = 0};
    struct meta meta;

    parse_again(&call, &meta);
    if (meta_has(&meta, 'C') || meta_has(&meta, 'I')) {
        kv_tier_add_script(&words, kv_tier_script_drop, kv_tier_meta_key(&meta));
        add_version(&words, &meta);
        kv_tier_add_word(&words, meta_has(&meta, 'I') ? BYTES("I") : BYTES(""));
        if (meta_has(&meta, 'T'))
            kv_tier_add_ttl(&words, meta.ttl_ms);
        else
            kv_tier_add_word(&words, BYTES("k"));
    } else {
        kv_tier_add_word(&words, BYTES("DEL"));
        kv_tier_add_word(&words, kv_tier_meta_key(&meta));
    }
    kv_tier_send_words(request, &words, kv_tier_meta_key(&meta), say_deleted);
}

void kv_tier_memcached_md(const struct kv_call *call)
{
    struct meta meta;

    if (parse_all(call, &meta))
        kv_tier_request_begin(call, true, go_delete);
}

/* ---- ma ---------------------------------------------------------------------------------------------- */

/* As memcached, one that was made is told even if quiet was asked for. */
static void say_sum(const struct kv_call *call, const struct meta *meta, const struct resp_node *node)
{
    struct bytes number = kv_tier_member(node, 1)->bytes;
    int64_t before_ms = kv_tier_member(node, 3)->integer;
    struct meta_life life = {.is_new = kv_tier_member(node, 4)->bytes.size > 0};
    struct meta_line line;

    line.size = 0;
    if (!life.is_new && before_ms >= 0)
        life.old_expires_at_ms = call->now.mono_ms + before_ms;
    if (meta_has(meta, 'q') && !life.is_new)
        return;
    for (uint32_t i = 0; i < meta->flag_count; i++) {
        switch (meta->flags[i].data[0]) {
        case 'c': meta_put_number(&line, 'c', kv_tier_version_of(kv_tier_member(node, 2))); break;
        case 't': meta_put_time_left(call, &line, meta_expires_at_ms(call, meta, &life, i)); break;
        case 'O': meta_put(&line, 'O', bytes_after(meta->flags[i], 1)); break;
        case 'k': meta_put_key(&line, meta->shown_key, meta_has(meta, 'b')); break;
        default: break; /* asks for nothing that is shown */
        }
    }
    meta_say(call, meta_has(meta, 'v') ? "VA" : "HD", &line, meta_has(meta, 'v') ? &number : NULL);
}

static void say_counted(const struct kv_call *call, const struct resp_node *node)
{
    struct bytes code = kv_tier_member(node, 0)->bytes;
    struct meta_line line;
    struct meta meta;

    line.size = 0;
    parse_again(call, &meta);
    if (has_code(code, "HD")) {
        say_sum(call, &meta, node);
    } else if (has_code(code, "NN")) {
        memcached_client_error(call, BYTES("cannot increment or decrement non-numeric value"));
    } else {
        meta_put_echo(&line, &meta);
        meta_say(call, code_of(code), &line, NULL);
    }
}

static bool is_decrement(const struct meta *meta) { return meta->mode == 'D' || meta->mode == '-'; }

static void go_count(struct kv_tier_request *request)
{
    struct kv_call call = kv_tier_late_call(request, NULL);
    const struct meta_life as_new = {.is_new = true};
    struct kv_tier_words words = {.count = 0};
    char delta[NUMBER_TEXT_BYTES], initial[NUMBER_TEXT_BYTES];
    struct meta meta;

    parse_again(&call, &meta);
    kv_tier_add_script(&words, kv_tier_script_add, kv_tier_meta_key(&meta));
    kv_tier_add_word(&words, is_decrement(&meta) ? BYTES("-") : BYTES("+"));
    kv_tier_add_word(&words, bytes_of(delta, uint64_format(delta, meta.delta)));
    if (meta.if_version != 0)
        kv_tier_add_version(&words, meta.if_version);
    else
        kv_tier_add_word(&words, BYTES(""));
    if (meta_has(&meta, 'T'))
        kv_tier_add_ttl(&words, meta.ttl_ms);
    else
        kv_tier_add_word(&words, BYTES("k"));
    if (meta_has(&meta, 'N'))
        kv_tier_add_ttl(&words,
                        meta_ttl_ms(&call, meta_expires_at_ms(&call, &meta, &as_new, meta.flag_count)));
    else
        kv_tier_add_word(&words, BYTES(""));
    kv_tier_add_word(&words, bytes_of(initial, uint64_format(initial, meta.initial)));
    kv_tier_send_words(request, &words, kv_tier_meta_key(&meta), say_counted);
}

void kv_tier_memcached_ma(const struct kv_call *call)
{
    struct meta meta;

    if (!parse_all(call, &meta))
        return;
    if (meta.mode != '\0' && strchr("I+D-", meta.mode) == NULL)
        memcached_client_error(call, BYTES("invalid mode for ma M token"));
    else
        kv_tier_request_begin(call, true, go_count);
}
