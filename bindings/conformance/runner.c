/* runner.c — plays cases.txt against the C library:
 *
 *     runner cases.txt
 *
 * Prints what came out otherwise and ends with 1 if anything did. */
#include "script.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_MS          1000000
#define MEMORY_BYTES      (16u << 20)
#define NAMES_MAX         16
#define TAGS_MAX          8
#define OUTCOME_BYTES_MAX 4096

/* A version or a lease that a case gave a name to. */
struct name {
    char text[16];
    uint64_t number;
};

struct world {
    nh_store *store;
    nh_options options;
    int64_t now_ms;
    struct name names[NAMES_MAX];
    size_t name_count;
    char outcome[OUTCOME_BYTES_MAX];
};

static const char *const results[] = {
    [NH_OK] = "ok",
    [NH_MISSING] = "missing",
    [NH_EXISTS] = "exists",
    [NH_CHANGED] = "changed",
    [NH_TYPE] = "type",
    [NH_RANGE] = "range",
    [NH_TOO_LARGE] = "too_large",
    [NH_FULL] = "full",
    [NH_NO_MEMORY] = "no_memory",
    [NH_INVALID] = "invalid",
    [NH_GROWING] = "growing",
    [NH_ABORTED] = "aborted",
    [NH_IO] = "io",
    [NH_CORRUPT] = "corrupt",
};

/* ---- words -------------------------------------------------------------------------------------- */

/* Adds to the outcome; a blank comes between what is said. */
__attribute__((format(printf, 2, 3))) static void say(struct world *world, const char *format, ...)
{
    size_t length = strlen(world->outcome);
    va_list arguments;

    if (length > 0 && length + 1 < sizeof world->outcome)
        world->outcome[length++] = ' ';
    va_start(arguments, format);
    vsnprintf(world->outcome + length, sizeof world->outcome - length, format, arguments);
    va_end(arguments);
}

static void say_result(struct world *world, nh_result result) { say(world, "%s", results[result]); }

static void say_bytes(struct world *world, nh_bytes bytes)
{
    char *text = text_written(bytes);

    say(world, "%s", text != NULL ? text : "no_memory");
    free(text);
}

/* All of a lent value, in however many pieces it lies. */
static void say_value(struct world *world, const nh_value *value)
{
    char *whole = malloc(value->size + 1);
    uint64_t offset = 0;
    nh_bytes piece;

    if (whole == NULL)
        return say(world, "no_memory");
    while (offset < value->size && nh_value_piece(world->store, value, offset, &piece) == NH_OK) {
        memcpy(whole + offset, piece.data, piece.size);
        offset += piece.size;
    }
    say_bytes(world, (nh_bytes){whole, offset});
    free(whole);
}

static nh_key key_of(const struct step *step)
{
    return (nh_key){step->arguments[0].data, step->arguments[0].size, 0};
}

static nh_bytes bytes_of(const struct text *text) { return (nh_bytes){text->data, text->size}; }

static void remember(struct world *world, const char *text, uint64_t number)
{
    struct name *name = &world->names[world->name_count];

    if (world->name_count == NAMES_MAX)
        return say(world, "too many names");
    snprintf(name->text, sizeof name->text, "%s", text);
    name->number = number;
    world->name_count++;
}

/* The last that was called so; 0, which is no version and no lease, if none was. */
static uint64_t named(const struct world *world, const char *text)
{
    for (size_t i = world->name_count; i-- > 0;)
        if (strcmp(world->names[i].text, text) == 0)
            return world->names[i].number;
    return 0;
}

/* How a step puts its value. What is not said is zero. */
struct put {
    nh_put_options options;
    nh_bytes tags[TAGS_MAX];
};

static const nh_put_options *put_of(const struct step *step, struct put *put)
{
    const char *tags = option_text(step, "tags", "");

    put->options = (nh_put_options){.size = sizeof put->options,
                                    .ttl_ms = option_number(step, "ttl", 0),
                                    .soft_ttl_ms = option_number(step, "soft_ttl", 0),
                                    .flags = (uint32_t)option_number(step, "flags", 0),
                                    .negative = has_word(step, "negative"),
                                    .tags = put->tags};
    while (*tags != '\0' && put->options.tag_count < TAGS_MAX) {
        size_t length = strcspn(tags, ",");
        put->tags[put->options.tag_count++] = (nh_bytes){tags, length};
        tags += length + (tags[length] == ',');
    }
    return &put->options;
}

/* ---- steps -------------------------------------------------------------------------------------- */

static void open_store(struct world *world)
{
    nh_result result = nh_create(&world->options, &world->store);

    if (result == NH_OK)
        return;
    fprintf(stderr, "no store: %s\n", nh_result_text(result));
    exit(1);
}

static void on_new(struct world *world, const struct step *step)
{
    nh_destroy(world->store);
    world->options.memory_bytes = (uint64_t)option_number(step, "memory", MEMORY_BYTES);
    world->options.value_bytes_max = (uint64_t)option_number(step, "value_max", 0);
    open_store(world);
}

static void on_advance(struct world *world, const struct step *step)
{
    world->now_ms += strtoll(step->arguments[0].data, NULL, 10);
}

#define PUT(verb, function)                                                                                \
    static void on_##verb(struct world *world, const struct step *step)                                    \
    {                                                                                                      \
        struct put put;                                                                                    \
        say_result(world, function(world->store, world->now_ms, key_of(step),                              \
                                   bytes_of(&step->arguments[1]), put_of(step, &put), NULL));              \
    }
PUT(set, nh_put)
PUT(add, nh_add)
PUT(replace, nh_replace)

static void cas(struct world *world, const struct step *step, uint64_t version)
{
    struct put put;
    say_result(world, nh_cas(world->store, world->now_ms, key_of(step), bytes_of(&step->arguments[1]),
                             put_of(step, &put), version, NULL));
}

static void on_cas(struct world *world, const struct step *step)
{
    cas(world, step, named(world, option_text(step, "if", "")));
}

static void on_cas_missing(struct world *world, const struct step *step) { cas(world, step, 1); }

static bool borrow(struct world *world, const struct step *step, nh_value *value)
{
    nh_result result = nh_borrow(world->store, world->now_ms, key_of(step), value);

    if (result != NH_OK)
        say_result(world, result);
    return result == NH_OK;
}

/* A step about a value that is there. */
#define LOOK(verb, what)                                                                                   \
    static void on_##verb(struct world *world, const struct step *step)                                    \
    {                                                                                                      \
        nh_value value;                                                                                    \
        if (!borrow(world, step, &value))                                                                  \
            return;                                                                                        \
        what;                                                                                              \
        nh_release(world->store, &value);                                                                  \
    }
LOOK(get, say_value(world, &value))
LOOK(flags, say(world, "%" PRIu32, value.flags))
LOOK(is_stale, say(world, "%s", value.traits &NH_VALUE_STALE ? "yes" : "no"))
LOOK(version, remember(world, option_text(step, "as", ""), value.version); say(world, "ok"))
LOOK(expires_in, if (value.expires_at_ms == 0) say(world, "never");
     else say(world, "%" PRId64, value.expires_at_ms - world->now_ms))

static void on_get_many(struct world *world, const struct step *step)
{
    nh_get_request requests[ARGUMENTS_MAX] = {0};

    for (size_t i = 0; i < step->argument_count; i++) {
        requests[i].key = (nh_key){step->arguments[i].data, step->arguments[i].size, 0};
        requests[i].capacity = 2u << 20;
        requests[i].buffer = malloc(requests[i].capacity);
    }
    nh_get_many(world->store, world->now_ms, requests, step->argument_count);
    for (size_t i = 0; i < step->argument_count; i++) {
        if (requests[i].result == NH_OK)
            say_bytes(world, (nh_bytes){requests[i].buffer, requests[i].value_bytes});
        else
            say_result(world, requests[i].result);
        free(requests[i].buffer);
    }
}

static void on_append(struct world *world, const struct step *step)
{
    say_result(world,
               nh_append(world->store, world->now_ms, key_of(step), bytes_of(&step->arguments[1]), NULL));
}

static void on_prepend(struct world *world, const struct step *step)
{
    say_result(world,
               nh_prepend(world->store, world->now_ms, key_of(step), bytes_of(&step->arguments[1]), NULL));
}

static void on_increment(struct world *world, const struct step *step)
{
    int64_t sum;
    nh_result result = nh_increment(world->store, world->now_ms, key_of(step),
                                    strtoll(step->arguments[1].data, NULL, 10), NH_INCREMENT_SIGNED, &sum);

    if (result == NH_OK)
        say(world, "%" PRId64, sum);
    else
        say_result(world, result);
}

static void on_touch(struct world *world, const struct step *step)
{
    say_result(world, nh_touch(world->store, world->now_ms, key_of(step),
                               strtoll(step->arguments[1].data, NULL, 10)));
}

static void on_delete(struct world *world, const struct step *step)
{
    say_result(world, nh_delete(world->store, world->now_ms, key_of(step)));
}

static void on_make_stale(struct world *world, const struct step *step)
{
    say_result(world, nh_make_stale(world->store, world->now_ms, key_of(step)));
}

static void on_purge_tag(struct world *world, const struct step *step)
{
    say_result(world, nh_purge_tag(world->store, bytes_of(&step->arguments[0]),
                                   has_word(step, "soft") ? NH_PURGE_SOFT : NH_PURGE_DROP));
}

static void on_clear(struct world *world, const struct step *step)
{
    (void)step;
    nh_clear(world->store, 0);
    say(world, "ok");
}

static void on_count(struct world *world, const struct step *step)
{
    (void)step;
    say(world, "%" PRIu64, nh_count(world->store, 0));
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Keys of cases.txt are sorted as they are written: none has an escape in the cases that walk. */
static void on_keys(struct world *world, const struct step *step)
{
    char *texts[64] = {0};
    size_t count = 0;
    nh_cursor *cursor;
    nh_value value;
    nh_key key;

    (void)step;
    if (nh_cursor_create(world->store, 0, &cursor) != NH_OK)
        return say(world, "no_memory");
    while (count < 64 && nh_cursor_next(cursor, world->now_ms, &key, &value) == NH_OK)
        texts[count++] = text_written((nh_bytes){key.data, key.size});
    nh_cursor_destroy(cursor);
    qsort(texts, count, sizeof *texts, compare_texts);
    for (size_t i = 0; i < count; i++) {
        say(world, "%s", texts[i]);
        free(texts[i]);
    }
    if (count == 0)
        say(world, "none");
}

/* ---- leases ------------------------------------------------------------------------------------- */

static nh_fetch_state fetch(struct world *world, const struct step *step, uint64_t *lease, nh_value *value)
{
    nh_fetch_options options = {.size = sizeof options, .lease_ms = option_number(step, "lease", 0)};
    nh_fetch_state state = -1;
    nh_result result = nh_fetch(world->store, world->now_ms, key_of(step), &options, &state, lease, value);

    if (result != NH_OK)
        say_result(world, result);
    return state;
}

static void on_fetch(struct world *world, const struct step *step)
{
    static const char *const states[] = {"hit", "hit_lease", "stale", "stale_lease", "wait", "lease"};
    uint64_t lease = 0;
    nh_value value;
    nh_fetch_state state = fetch(world, step, &lease, &value);

    if (state < 0)
        return;
    if (lease != 0)
        remember(world, option_text(step, "as", ""), lease);
    if (state < NH_FETCH_MISS_WAIT && value.traits & NH_VALUE_NEGATIVE)
        say(world, "negative");
    else
        say(world, "%s", states[state]);
    if (state < NH_FETCH_MISS_WAIT) {
        if (!(value.traits & NH_VALUE_NEGATIVE))
            say_value(world, &value);
        nh_release(world->store, &value);
    }
}

static void on_fill(struct world *world, const struct step *step)
{
    struct put put;
    say_result(world,
               nh_fill(world->store, world->now_ms, key_of(step), named(world, option_text(step, "by", "")),
                       bytes_of(&step->arguments[1]), put_of(step, &put), NULL));
}

static void on_give_up(struct world *world, const struct step *step)
{
    say_result(world, nh_give_up(world->store, key_of(step), named(world, option_text(step, "by", ""))));
}

/* In C the program brings its own loop around a lease; here nobody else has one. */
static void on_load(struct world *world, const struct step *step)
{
    uint64_t lease = 0;
    struct put put;
    nh_value value;
    nh_fetch_state state = fetch(world, step, &lease, &value);

    if (state == NH_FETCH_HIT) {
        say(world, "cached");
        say_value(world, &value);
        nh_release(world->store, &value);
    } else if (state == NH_FETCH_MISS_LEASE && has_word(step, "fails")) {
        say(world, "failed");
        nh_give_up(world->store, key_of(step), lease);
    } else if (state == NH_FETCH_MISS_LEASE) {
        nh_bytes loaded = bytes_of(&step->arguments[1]);
        if (nh_fill(world->store, world->now_ms, key_of(step), lease, loaded, put_of(step, &put), NULL) ==
            NH_OK)
            say(world, "loaded");
        say_bytes(world, loaded);
    }
}

static void on_restart(struct world *world, const struct step *step)
{
    char path[] = "/tmp/nuthatch-cases-XXXXXX";
    int fd = mkstemp(path);
    uint64_t count = 0;
    nh_result saved = nh_save(world->store, path, world->now_ms, START_MS), restored;

    (void)step;
    if (fd >= 0)
        close(fd);
    nh_destroy(world->store);
    open_store(world);
    restored = nh_restore(world->store, path, world->now_ms, START_MS, &count);
    if (saved == NH_OK && restored == NH_OK)
        say(world, "%" PRIu64, count);
    else
        say_result(world, saved != NH_OK ? saved : restored);
    unlink(path);
}

/* ---- the list ----------------------------------------------------------------------------------- */

static const struct {
    const char *verb;
    size_t argument_count_min; /* so that a step may take what it has for granted */
    void (*play)(struct world *world, const struct step *step);
} steps[] = {
    {"new", 0, on_new},
    {"advance", 1, on_advance},
    {"set", 2, on_set},
    {"add", 2, on_add},
    {"replace", 2, on_replace},
    {"version", 1, on_version},
    {"cas", 2, on_cas},
    {"cas_missing", 2, on_cas_missing},
    {"get", 1, on_get},
    {"get_many", 1, on_get_many},
    {"flags", 1, on_flags},
    {"expires_in", 1, on_expires_in},
    {"is_stale", 1, on_is_stale},
    {"append", 2, on_append},
    {"prepend", 2, on_prepend},
    {"increment", 2, on_increment},
    {"touch", 2, on_touch},
    {"delete", 1, on_delete},
    {"make_stale", 1, on_make_stale},
    {"purge_tag", 1, on_purge_tag},
    {"clear", 0, on_clear},
    {"count", 0, on_count},
    {"keys", 0, on_keys},
    {"fetch", 1, on_fetch},
    {"fill", 2, on_fill},
    {"give_up", 1, on_give_up},
    {"load", 2, on_load},
    {"restart", 0, on_restart},
};

static bool play(struct world *world, const struct step *step)
{
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (strcmp(steps[i].verb, step->verb) == 0 && step->argument_count >= steps[i].argument_count_min) {
            steps[i].play(world, step);
            return true;
        }
    return false;
}

static bool play_line(struct world *world, const char *line)
{
    struct step step;
    bool is_right;

    world->outcome[0] = '\0';
    if (!step_parse(line, &step)) {
        printf("    not of the form: %s\n", line);
        return false;
    }
    is_right = play(world, &step);
    if (!is_right) {
        printf("    no such step: %.200s\n", line);
    } else if (strcmp(world->outcome, step.wanted != NULL ? step.wanted : "") != 0) {
        printf("    %.200s\n    came out as: %.200s\n", line, world->outcome);
        is_right = false;
    }
    step_fini(&step);
    return is_right;
}

static void begin_case(struct world *world)
{
    if (world->store != NULL)
        nh_destroy(world->store);
    *world = (struct world){.now_ms = START_MS,
                            .options = {.size = sizeof(nh_options), .memory_bytes = MEMORY_BYTES}};
    open_store(world);
}

int main(int argc, char **argv)
{
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    size_t case_count = 0, wrong_count = 0, capacity = 0, name_size;
    struct world world = {0};
    char *line = NULL, name[200] = "";
    bool is_wrong = false;
    ssize_t length;

    if (file == NULL) {
        fprintf(stderr, "say which file of cases: %s bindings/conformance/cases.txt\n", argv[0]);
        return 2;
    }
    while ((length = getline(&line, &capacity, file)) > 0) {
        if (line[length - 1] == '\n')
            line[length - 1] = '\0';
        if (line[0] == '\0' || line[0] == '#')
            continue;
        if (strncmp(line, "case ", 5) == 0) {
            name_size = (size_t)snprintf(name, sizeof name, "%s", line + 5);
            is_wrong = name_size >= sizeof name;
            case_count++;
            begin_case(&world);
        } else if (!is_wrong && case_count > 0 && !play_line(&world, line)) {
            printf("case %s: wrong\n", name);
            is_wrong = true; /* what comes after it in the case says nothing */
            wrong_count++;
        }
    }
    if (world.store != NULL)
        nh_destroy(world.store);
    free(line);
    fclose(file);
    printf("%zu cases, %zu wrong\n", case_count, wrong_count);
    return wrong_count == 0 && case_count > 0 ? 0 : 1;
}
