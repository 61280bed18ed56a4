/* links: nuthatch-kv nuthatch-memcached nuthatch-store nuthatch-message nuthatch-base
 * Commands that arrive as bytes are run against a small store: nothing is read beyond its end, every answer
 * is lines and data blocks, and the same bytes have the same answers whole and byte by byte. */
#include "engine/kv/kv.h"
#include "protocol/memcached/memcached.h"
#include <assert.h>
#include <stdlib.h>

enum { ARGUMENTS = 64 };

struct fixture {
    struct reply reply;
    struct kv kv;
    struct kv_hub *hub;
    struct counters counters;
    nh_store *store;
    struct session session;
    struct memcached_parser parser;
    struct bytes arguments[ARGUMENTS];
    struct buffer said;
    struct now now;
};

static const struct memcached_limits limits = {.line_bytes_max = 600, .value_bytes_max = 1000};

static void say(struct reply *reply, const struct outcome *outcome)
{
    struct fixture *fixture = CONTAINER_OF(reply, struct fixture, reply);
    memcached_render(&fixture->said, outcome);
}

static void say_nothing(struct reply *reply, const struct outcome *outcome)
{
    (void)reply;
    (void)outcome;
}

static void read_facts(void *context, struct kv_facts *facts)
{
    (void)context;
    *facts = (struct kv_facts){.thread_count = 1};
}

static void begin(struct fixture *fixture)
{
    nh_options options = {.size = sizeof options, .memory_bytes = 1 << 20, .hash_seed = 1};

    *fixture = (struct fixture){.now = {.mono_ms = 1000000, .wall_ms = 1767225600000}};
    if (nh_create(&options, &fixture->store) != NH_OK || kv_hub_create(1, NULL, NULL, &fixture->hub) != OK)
        abort();
    fixture->kv = (struct kv){.store = fixture->store,
                              .hub = fixture->hub,
                              .counters = &fixture->counters,
                              .read_facts = read_facts,
                              .memcached_value_bytes_max = limits.value_bytes_max};
}

static void end(struct fixture *fixture)
{
    memcached_parser_fini(&fixture->parser);
    kv_hub_destroy(fixture->hub);
    nh_destroy(fixture->store);
}

/* Time goes on with each command, so that lifetimes end. */
static void run(struct fixture *fixture, const struct command *command)
{
    fixture->reply.say = command->quiet ? say_nothing : say;
    fixture->now.mono_ms += 700;
    fixture->now.wall_ms += 700;
    kv_begin(&fixture->kv);
    kv_run(&fixture->kv, fixture->now, &fixture->session, command, &fixture->reply);
    kv_end(&fixture->kv);
}

/* Runs all commands of `input`, which arrives in pieces. What is said of the process itself is left out. */
static void converse(struct fixture *fixture, struct bytes input, size_t piece_bytes)
{
    size_t begun = 0;

    for (size_t arrived = 0; arrived < input.size;) {
        size_t left = input.size - arrived;
        arrived += piece_bytes == 0 || piece_bytes > left ? left : piece_bytes;
        while (begun < arrived) {
            struct bytes seen = bytes_of(input.data + begun, arrived - begun), error = {0};
            struct command command;
            size_t consumed = 0;
            enum parse parse = memcached_parse(&fixture->parser, &limits, seen, fixture->arguments,
                                               ARGUMENTS, &command, &consumed, &error);
            if (parse == PARSE_MORE)
                break;
            if (parse == PARSE_FATAL || fixture->session.closing)
                return;
            if (parse == PARSE_DONE && command.id != COMMAND_memcached_stats)
                run(fixture, &command);
            else if (error.size > 0)
                buffer_append(&fixture->said, error);
            begun += consumed;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of(data, size < 4096 ? size : 4096);
    struct fixture whole, split;

    begin(&whole);
    begin(&split);
    converse(&whole, input, 0);
    converse(&split, input, 1);
    if (!bytes_equal(buffer_bytes(&whole.said), buffer_bytes(&split.said)))
        abort();
    buffer_fini(&whole.said);
    buffer_fini(&split.said);
    end(&whole);
    end(&split);
    return 0;
}
