/* kv_talk.h — a cache engine that a test talks to in RESP, on a clock that the test moves. */
#pragma once
#include "base/buffer.h"
#include "base/compiler.h"
#include "base/number.h"
#include "engine/kv/kv.h"
#include "protocol/resp/resp.h"
#include "test.h"
#include <stdio.h>

/* One worker's engine and one client of it. */
struct talk {
    struct kv kv;
    struct counters counters;
    struct now now;
    struct session session;
    struct buffer output;
    struct reply reply;
};

static inline void talk_say(struct reply *reply, const struct outcome *outcome)
{
    struct talk *talk = CONTAINER_OF(reply, struct talk, reply);
    resp_render(&talk->output, talk->session.resp_version, outcome);
}

/* Of worker `number` of `hub`. */
static inline void talk_init(struct talk *talk, nh_store *store, struct kv_hub *hub, unsigned number)
{
    *talk = (struct talk){
        .kv = {.store = store, .hub = hub, .number = number},
        .now = {.mono_ms = 61000, .wall_ms = INT64_C(1700000000000)},
        .session = {.id = 7 + number, .resp_version = 2},
        .reply = {.say = talk_say},
    };
    talk->kv.counters = &talk->counters;
}

/* The answer to an inline command; readable until the next. */
static inline struct bytes talk_ask(struct talk *talk, const char *line)
{
    static const struct resp_limits limits = {
        .arguments_max = 1000, .bulk_bytes_max = 1 << 20, .inline_bytes_max = 65536};
    struct resp_parser parser = {0};
    struct buffer input = {0};
    struct bytes arguments[64], error;
    struct command command;
    size_t consumed;

    buffer_append(&input, bytes_of_text(line));
    buffer_append_literal(&input, "\r\n");
    EXPECT_EQ(
        resp_parse(&parser, &limits, buffer_bytes(&input), arguments, 64, &command, &consumed, &error),
        PARSE_DONE);
    buffer_clear(&talk->output);
    kv_begin(&talk->kv);
    kv_run(&talk->kv, talk->now, &talk->session, &command, &talk->reply);
    kv_end(&talk->kv);
    resp_parser_fini(&parser);
    buffer_fini(&input);
    return buffer_bytes(&talk->output);
}

static inline void talk_pass(struct talk *talk, int64_t ms)
{
    talk->now.mono_ms += ms;
    talk->now.wall_ms += ms;
}

/* What follows the bulk string `name` in the last answer, up to the end of its line: ":5", "$3" and the
 * like; for a bulk string the line behind. Empty if there is no such name. */
static inline struct bytes talk_field(const struct talk *talk, const char *name)
{
    struct bytes answer = buffer_bytes(&talk->output);
    char wanted[64];
    int size = snprintf(wanted, sizeof wanted, "$%zu\r\n%s\r\n", strlen(name), name);
    const char *at = memmem(answer.data, answer.size, wanted, (size_t)size), *end;

    if (at == NULL)
        return (struct bytes){NULL, 0};
    at += size;
    if (*at == '$' && at[1] != '-')
        at = (const char *)memchr(at, '\n', (size_t)(answer.data + answer.size - at)) + 1;
    end = memchr(at, '\r', (size_t)(answer.data + answer.size - at));
    return bytes_of(at, (size_t)(end - at));
}

static inline int64_t talk_number(const struct talk *talk, const char *name)
{
    struct bytes field = talk_field(talk, name);
    int64_t number = INT64_MIN;

    if (field.size > 1 && field.data[0] == ':')
        int64_parse(bytes_after(field, 1), &number);
    return number;
}
