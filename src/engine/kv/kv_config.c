/* kv_config.c — CONFIG: what can be seen and changed while the server runs. */
#include "engine/kv/kv_config.h"
#include "base/glob.h"
#include "base/number.h"
#include "engine/kv/kv_acl.h"
#include "engine/kv/kv_acl_log.h"
#include "engine/kv/kv_admin.h"
#include "engine/kv/kv_notify.h"
#include <stdio.h>
#include <stdlib.h>

enum kind { FIXED, NUMBER, LIVE, CALL };

struct row {
    const char *name;
    enum kind kind;
    /* FIXED */
    const char *value, *why;
    /* NUMBER */
    enum kv_setting setting;
    bool can_be_set;
    int64_t low, high, unit;
    /* LIVE, with low and high */
    int64_t (*read)(const struct kv_hub *hub);
    void (*write)(struct kv_hub *hub, int64_t number);
    /* CALL */
    void (*get)(const struct kv_call *call, struct buffer *text);
    /* Both append what is wrong to `why`; `check` changes nothing. A null `set`: it cannot be set. */
    void (*check)(struct bytes value, struct buffer *why);
    void (*set)(const struct kv_call *call, struct bytes value, struct buffer *why);
};

static void check_number(struct bytes value, int64_t low, int64_t high, struct buffer *why)
{
    int64_t number;

    if (!int64_parse(value, &number))
        buffer_append_literal(why, "argument couldn't be parsed into an integer");
    else if (number < low || number > high)
        buffer_append_format(why, "argument must be between %lld and %lld inclusive", (long long)low,
                             (long long)high);
}

/* ---- by functions ----------------------------------------------------------------------------------- */

/* The password is not known any more, only its digest. */
static void get_requirepass(const struct kv_call *call, struct buffer *text)
{
    struct kv_acl *acl = call->kv->hub->acl;

    pthread_mutex_lock(&acl->lock);
    if (kv_acl_find(acl, BYTES("default"))->password_count > 0)
        buffer_append_literal(text, "(set)");
    pthread_mutex_unlock(&acl->lock);
}

static void check_requirepass(struct bytes value, struct buffer *why)
{
    (void)value;
    (void)why;
}

static void set_requirepass(const struct kv_call *call, struct bytes value, struct buffer *why)
{
    if (kv_acl_require_password(call->kv->hub->acl, value) == OK)
        kv_acl_tell(call->kv->hub, call->kv);
    else
        buffer_append_literal(why, "out of memory");
}

static void get_notify_events(const struct kv_call *call, struct buffer *text)
{
    char letters[KV_NOTIFY_TEXT_BYTES];

    buffer_append(text, bytes_of(letters, kv_notify_format(kv_notify_flags(call->kv->hub), letters)));
}

static void check_notify_events(struct bytes value, struct buffer *why)
{
    uint32_t flags;

    if (!kv_notify_parse(value, &flags))
        buffer_append_literal(why, "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
}

static void set_notify_events(const struct kv_call *call, struct bytes value, struct buffer *why)
{
    uint32_t flags = 0;

    kv_notify_parse(value, &flags);
    if (call->kv->elsewhere != NULL && flags != 0)
        buffer_append_literal(why, "with a shared tier its servers tell of keys: set it there");
    else
        kv_notify_set(call, flags);
}

static void get_aclfile(const struct kv_call *call, struct buffer *text)
{
    const char *file = call->kv->hub->acl->file;
    if (file != NULL)
        buffer_append(text, bytes_of_text(file));
}

static void get_bind(const struct kv_call *call, struct buffer *text)
{
    const char *bind = call->kv->hub->settings.bind;
    if (bind != NULL)
        buffer_append(text, bytes_of_text(bind));
}

static void get_protected_mode(const struct kv_call *call, struct buffer *text)
{
    buffer_append(text, call->kv->hub->settings.is_protected ? BYTES("yes") : BYTES("no"));
}

/* ---- numbers by functions --------------------------------------------------------------------------- */

static int64_t read_acllog_max_len(const struct kv_hub *hub)
{
    return (int64_t)kv_acl_log_entries_max(hub->acl->log);
}

static void write_acllog_max_len(struct kv_hub *hub, int64_t number)
{
    kv_acl_log_set_entries_max(hub->acl->log, (size_t)number);
}

static int64_t read_slowlog_slower_than(const struct kv_hub *hub)
{
    return atomic_load(&hub->admin->slowlog.slower_than_us);
}

static int64_t read_slowlog_max_len(const struct kv_hub *hub)
{
    return (int64_t)atomic_load(&hub->admin->slowlog.entry_count_max);
}

static void write_slowlog_slower_than(struct kv_hub *hub, int64_t number)
{
    kv_slowlog_set(hub, number, (uint64_t)read_slowlog_max_len(hub));
}

static void write_slowlog_max_len(struct kv_hub *hub, int64_t number)
{
    kv_slowlog_set(hub, read_slowlog_slower_than(hub), (uint64_t)number);
}

static int64_t read_latency_threshold(const struct kv_hub *hub)
{
    return atomic_load(&hub->admin->latency.threshold_ms);
}

static void write_latency_threshold(struct kv_hub *hub, int64_t number) { kv_latency_set(hub, number); }

static int64_t read_tracking_keys_max(const struct kv_hub *hub)
{
    return (int64_t)atomic_load(&hub->tracking_keys_max);
}

static void write_tracking_keys_max(struct kv_hub *hub, int64_t number)
{
    atomic_store(&hub->tracking_keys_max, (uint64_t)number);
}

static const struct row rows[] = {
#define CONFIG_FIXED(name_, value_, why_) {.name = name_, .kind = FIXED, .value = value_, .why = why_},
#define CONFIG_NUMBER(name_, id, can_be_set_, low_, high_, unit_)                                          \
    {.name = name_,                                                                                        \
     .kind = NUMBER,                                                                                       \
     .setting = KV_SETTING_##id,                                                                           \
     .can_be_set = can_be_set_,                                                                            \
     .low = low_,                                                                                          \
     .high = high_,                                                                                        \
     .unit = unit_},
#define CONFIG_LIVE(name_, id, low_, high_)                                                                \
    {.name = name_, .kind = LIVE, .low = low_, .high = high_, .read = read_##id, .write = write_##id},
#define CONFIG_TOLD(name_, id) {.name = name_, .kind = CALL, .get = get_##id},
#define CONFIG_CALL(name_, id)                                                                             \
    {.name = name_, .kind = CALL, .get = get_##id, .check = check_##id, .set = set_##id},
#include "tables/config_names.def"
#undef CONFIG_FIXED
#undef CONFIG_NUMBER
#undef CONFIG_LIVE
#undef CONFIG_TOLD
#undef CONFIG_CALL
};

static const struct row *find(struct bytes name)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (bytes_equal_nocase(bytes_of_text(rows[i].name), name))
            return &rows[i];
    return NULL;
}

static void get(const struct kv_call *call, const struct row *row, struct buffer *text)
{
    switch (row->kind) {
    case FIXED: buffer_append(text, bytes_of_text(row->value)); return;
    case NUMBER:
        /* Rounded up, so that a time that is short does not look like none. */
        buffer_append_int64(text, (kv_setting(&call->kv->hub->settings, row->setting) + row->unit - 1) /
                                      row->unit);
        return;
    case LIVE: buffer_append_int64(text, row->read(call->kv->hub)); return;
    case CALL: row->get(call, text); return;
    }
    UNREACHABLE();
}

/* ---- GET -------------------------------------------------------------------------------------------- */

static bool is_pattern(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++)
        if (strchr("[*?", name.data[i]) != NULL && name.data[i] != '\0')
            return true;
    return false;
}

/* The first argument that asks for the row, or 0. */
static uint32_t asked_by(const struct kv_call *call, const struct row *row)
{
    struct bytes name = bytes_of_text(row->name);

    for (uint32_t i = 2; i < call->argument_count; i++)
        if (is_pattern(call->arguments[i]) ? glob_fits_nocase(call->arguments[i], name)
                                           : bytes_equal_nocase(call->arguments[i], name))
            return i;
    return 0;
}

static void config_get(const struct kv_call *call)
{
    size_t count = 0;

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        count += asked_by(call, &rows[i]) != 0;
    reply_aggregate(call->reply, OUTCOME_map, count);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint32_t by = asked_by(call, &rows[i]);
        struct buffer text = {0};
        if (by == 0)
            continue;
        /* Asked for by its name, it is called as the asker wrote it. */
        reply_value(call->reply,
                    is_pattern(call->arguments[by]) ? bytes_of_text(rows[i].name) : call->arguments[by]);
        get(call, &rows[i], &text);
        reply_value(call->reply, buffer_bytes(&text));
        buffer_fini(&text);
    }
}

/* ---- SET -------------------------------------------------------------------------------------------- */

static void check(const struct row *row, struct bytes value, struct buffer *why)
{
    static const struct bytes immutable = BYTES_INIT("can't set immutable config");

    switch (row->kind) {
    case FIXED:
        if (row->why[0] == '\0')
            buffer_append(why, immutable);
        else if (!bytes_equal_nocase(bytes_of_text(row->value), value))
            buffer_append(why, bytes_of_text(row->why));
        return;
    case NUMBER:
        if (!row->can_be_set)
            buffer_append(why, immutable);
        else
            check_number(value, row->low, row->high, why);
        return;
    case LIVE: check_number(value, row->low, row->high, why); return;
    case CALL:
        if (row->set == NULL)
            buffer_append(why, immutable);
        else
            row->check(value, why);
        return;
    }
    UNREACHABLE();
}

static void set(const struct kv_call *call, const struct row *row, struct bytes value, struct buffer *why)
{
    int64_t number = 0;

    if (row->kind == NUMBER && int64_parse(value, &number))
        kv_set_setting(&call->kv->hub->settings, row->setting, number * row->unit);
    else if (row->kind == LIVE && int64_parse(value, &number))
        row->write(call->kv->hub, number);
    else if (row->kind == CALL)
        row->set(call, value, why);
}

static bool is_repeated(const struct kv_call *call, uint32_t at)
{
    for (uint32_t i = 2; i < at; i += 2)
        if (bytes_equal_nocase(call->arguments[i], call->arguments[at]))
            return true;
    return false;
}

/* False with an error said. */
static bool is_settled(const struct kv_call *call, uint32_t at, struct buffer *why)
{
    bool is_good = why->size == 0 && !why->failed;

    if (!is_good)
        kv_error(call, "ERR CONFIG SET failed (possibly related to argument '%.*s') - %.*s",
                 (int)(call->arguments[at].size < 64 ? call->arguments[at].size : 64),
                 call->arguments[at].data, BYTES_PRINTF(buffer_bytes(why)));
    buffer_fini(why);
    return is_good;
}

/* All are looked at before the first is set. */
static void config_set(const struct kv_call *call)
{
    if (call->argument_count % 2 != 0) {
        kv_syntax_error(call);
        return;
    }
    for (uint32_t i = 2; i < call->argument_count; i += 2) {
        const struct row *row = find(call->arguments[i]);
        struct buffer why = {0};
        if (row == NULL) {
            kv_error(call, "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                     (int)(call->arguments[i].size < 128 ? call->arguments[i].size : 128),
                     call->arguments[i].data);
            return;
        }
        if (is_repeated(call, i))
            buffer_append_literal(&why, "duplicate parameter");
        else
            check(row, call->arguments[i + 1], &why);
        if (!is_settled(call, i, &why))
            return;
    }
    for (uint32_t i = 2; i < call->argument_count; i += 2) {
        struct buffer why = {0};
        set(call, find(call->arguments[i]), call->arguments[i + 1], &why);
        if (!is_settled(call, i, &why))
            return;
    }
    /* What is to be timed from now on is so in this batch already. */
    call->kv->care |= atomic_load_explicit(&call->kv->hub->care, memory_order_relaxed);
    reply_kind(call->reply, OUTCOME_ok);
}

/* ---- the rest --------------------------------------------------------------------------------------- */

static void config_resetstat(const struct kv_call *call)
{
    call->kv->reset_facts(call->kv->facts_context);
    kv_reset_counts(call->kv);
    reply_kind(call->reply, OUTCOME_ok);
}

static void config_rewrite(const struct kv_call *call)
{
    kv_error(call, "ERR The server is running without a config file");
}

static void config_help(const struct kv_call *call)
{
    static const char *const lines[] = {
        "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.",
        "HELP",
        "    Prints this help.",
    };
    kv_help(call, lines, COUNT_OF(lines));
}

void kv_config(const struct kv_call *call)
{
    static const struct kv_subcommand subcommands[] = {
        {"get", -3, config_get},        {"set", -4, config_set},  {"resetstat", 2, config_resetstat},
        {"rewrite", 2, config_rewrite}, {"help", 2, config_help},
    };
    kv_run_subcommand(call, subcommands, COUNT_OF(subcommands));
}
