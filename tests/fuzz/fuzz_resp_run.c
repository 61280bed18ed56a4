/* links: nuthatch-kv nuthatch-resp nuthatch-store nuthatch-message nuthatch-base
 * Commands that arrive as bytes are run against a small store by two sessions in turn, one of which hears
 * what the other publishes and changes: nothing is read beyond its end, and nothing is lost of what was
 * allocated. */
#include "engine/kv/kv.h"
#include "engine/kv/kv_admin.h"
#include "protocol/resp/resp.h"
#include <stdlib.h>

enum { ARGUMENTS = 64, SAID_BYTES_MAX = 1 << 20 };

struct talker {
    struct session session;
    struct reply reply, pushed;
    struct buffer said;
};

struct fixture {
    struct kv kv;
    struct kv_hub *hub;
    struct counters counters;
    nh_store *store;
    struct talker talkers[2];
    struct now now;
};

static const struct resp_limits limits = {
    .arguments_max = 100, .bulk_bytes_max = 4096, .inline_bytes_max = 1024};

static void render(struct talker *talker, const struct outcome *outcome)
{
    if (talker->said.size > SAID_BYTES_MAX)
        buffer_clear(&talker->said);
    resp_render(&talker->said, talker->session.resp_version, outcome);
}

static void say(struct reply *reply, const struct outcome *outcome)
{
    render(CONTAINER_OF(reply, struct talker, reply), outcome);
}

static void push(struct reply *reply, const struct outcome *outcome)
{
    render(CONTAINER_OF(reply, struct talker, pushed), outcome);
}

static struct reply *push_begin(struct session *session)
{
    return &CONTAINER_OF(session, struct talker, session)->pushed;
}

static void push_end(struct session *session) { (void)session; }

static void read_facts(void *context, struct kv_facts *facts)
{
    (void)context;
    *facts = (struct kv_facts){.thread_count = 1};
}

static void begin(struct fixture *fixture)
{
    nh_options options = {
        .size = sizeof options, .memory_bytes = 1 << 20, .hash_seed = 1, .insight_spaces = 1};

    *fixture = (struct fixture){.now = {.mono_ms = 1000000, .wall_ms = 1767225600000}};
    if (nh_create(&options, &fixture->store) != NH_OK || kv_hub_create(1, NULL, NULL, &fixture->hub) != OK)
        abort();
    fixture->kv = (struct kv){.store = fixture->store,
                              .hub = fixture->hub,
                              .counters = &fixture->counters,
                              .read_facts = read_facts};
    kv_join(&fixture->kv);
    for (unsigned i = 0; i < 2; i++) {
        struct talker *talker = &fixture->talkers[i];
        talker->reply = (struct reply){.say = say};
        talker->pushed = (struct reply){.say = push};
        talker->session = (struct session){
            .id = i + 1, .resp_version = 2, .push_begin = push_begin, .push_end = push_end};
        kv_session_begin(&fixture->kv, &talker->session);
    }
}

static void end(struct fixture *fixture)
{
    for (unsigned i = 0; i < 2; i++) {
        kv_session_end(&fixture->kv, &fixture->talkers[i].session);
        buffer_fini(&fixture->talkers[i].said);
    }
    buffer_fini(&fixture->kv.changed_keys);
    kv_hub_destroy(fixture->hub);
    nh_destroy(fixture->store);
}

/* Time goes on with each command, so that lifetimes end, and so does what it waits for. */
static void run(struct fixture *fixture, struct talker *talker, const struct command *command)
{
    fixture->now.mono_ms += 700;
    fixture->now.wall_ms += 700;
    talker->session.is_held = false;
    kv_begin(&fixture->kv);
    kv_run(&fixture->kv, fixture->now, &talker->session, command, &talker->reply);
    kv_end(&fixture->kv);
    kv_end_turn(&fixture->kv);
    kv_read_letters(&fixture->kv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of(data, size < 4096 ? size : 4096), arguments[ARGUMENTS], error;
    struct resp_parser parser = {0};
    struct command command;
    struct fixture fixture;
    size_t at = 0, consumed;

    begin(&fixture);
    for (unsigned turn = 0; at < input.size; turn++, at += consumed) {
        struct talker *talker = &fixture.talkers[turn % 2];
        enum parse parse;
        consumed = 0;
        parse = resp_parse(&parser, &limits, bytes_after(input, at), arguments, ARGUMENTS, &command,
                           &consumed, &error);
        if (parse == PARSE_MORE || parse == PARSE_FATAL || talker->session.closing)
            break;
        if (parse == PARSE_DONE && command.argument_count > 0)
            run(&fixture, talker, &command);
    }
    resp_parser_fini(&parser);
    end(&fixture);
    return 0;
}
