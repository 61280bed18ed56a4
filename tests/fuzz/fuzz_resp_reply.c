/* links: nuthatch-resp nuthatch-message nuthatch-base
 * The same replies whatever the split; spans that add up; and what a reply is said to be is parsed as a
 * reply that is said the same. */
#include "base/compiler.h"
#include "protocol/resp/resp.h"
#include "protocol/resp/resp_reply.h"
#include <stdlib.h>

static const struct resp_reply_limits narrow = {.reply_bytes_max = 700, .nodes_max = 60, .depth_max = 5};
static const struct resp_reply_limits wide = {
    .reply_bytes_max = 1 << 20, .nodes_max = 1 << 20, .depth_max = RESP_DEPTH_MAX};

static void expect(bool condition)
{
    if (!condition)
        abort();
}

struct rendering {
    struct reply reply;
    struct buffer *text;
    int version;
};

static void say_into(struct reply *reply, const struct outcome *outcome)
{
    struct rendering *rendering = (struct rendering *)reply;
    resp_render(rendering->text, rendering->version, outcome);
}

static void render(struct buffer *text, int version, const struct resp_node *node)
{
    struct rendering rendering = {.reply = {.say = say_into}, .text = text, .version = version};
    resp_reply_say(node, &rendering.reply);
}

static void check_spans(const struct resp_reply *reply)
{
    expect(reply->node_count > 0 && reply->nodes[0].span == reply->node_count);
    for (uint32_t i = 0; i < reply->node_count; i++) {
        const struct resp_node *node = &reply->nodes[i], *member = resp_first_member(node);
        int64_t count = 0;

        if (node->type == RESP_ARRAY || node->type == RESP_SET || node->type == RESP_PUSH)
            count = node->integer;
        if (node->type == RESP_MAP)
            count = 2 * node->integer;
        for (; count > 0; count--)
            member = resp_next(member);
        expect(member == resp_next(node));
    }
}

/* `text` is what a reply was rendered to: it says the same again. */
static void check_says_the_same(struct bytes text, int version)
{
    struct resp_reply_parser parser = {0};
    struct buffer again = {0};
    struct resp_reply reply;
    struct bytes error;
    size_t consumed = 0;

    expect(resp_reply_parse(&parser, &wide, text, &reply, &consumed, &error) == PARSE_DONE);
    expect(consumed == text.size);
    render(&again, version, reply.nodes);
    expect(bytes_equal(buffer_bytes(&again), text));
    buffer_fini(&again);
    resp_reply_parser_fini(&parser);
}

static void log_reply(struct buffer *log, const struct resp_reply *reply, struct bytes seen)
{
    check_spans(reply);
    expect(reply->raw.data >= seen.data && reply->raw.data + reply->raw.size <= seen.data + seen.size);
    buffer_append_format(log, "%zu bytes from %zu: ", reply->raw.size,
                         (size_t)(reply->raw.data - seen.data));
    for (int version = 2; version <= 3; version++) {
        struct buffer text = {0};
        render(&text, version, reply->nodes);
        check_says_the_same(buffer_bytes(&text), version);
        buffer_append(log, buffer_bytes(&text));
        buffer_fini(&text);
    }
}

/* Hands the parser a copy of exactly the bytes that arrived, so that a sanitizer sees it read one too many.
 */
static void log_with(struct buffer *log, struct bytes input, size_t piece_bytes)
{
    struct resp_reply_parser parser = {0};
    enum parse parse = PARSE_MORE;
    size_t begin = 0, arrived = 0;

    while (arrived < input.size && parse != PARSE_FATAL) {
        arrived = input.size - arrived > piece_bytes ? arrived + piece_bytes : input.size;
        do {
            struct bytes seen = bytes_of(input.data + begin, arrived - begin), error = {0};
            char *copy = malloc(seen.size > 0 ? seen.size : 1);
            struct resp_reply reply;
            size_t consumed = 0;

            if (copy == NULL)
                abort();
            if (seen.size > 0)
                memcpy(copy, seen.data, seen.size);
            seen.data = copy;
            parse = resp_reply_parse(&parser, &narrow, seen, &reply, &consumed, &error);
            expect(parse != PARSE_REFUSED && (parse == PARSE_DONE) == (consumed > 0));
            expect(consumed <= seen.size && consumed <= narrow.reply_bytes_max);
            if (parse == PARSE_DONE)
                log_reply(log, &reply, seen);
            if (parse == PARSE_FATAL)
                buffer_append_format(log, "fatal %.*s\n", BYTES_PRINTF(error));
            begin += consumed;
            free(copy);
        } while (parse == PARSE_DONE);
    }
    resp_reply_parser_fini(&parser);
    if (parse == PARSE_MORE)
        buffer_append_format(log, "left %zu\n", input.size - begin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 2, 3, 7, 64};
    struct bytes input = bytes_of(data, size < 2048 ? size : 2048);
    struct buffer whole = {0}, split = {0};

    log_with(&whole, input, SIZE_MAX);
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        buffer_clear(&split);
        log_with(&split, input, pieces[i]);
        expect(bytes_equal(buffer_bytes(&whole), buffer_bytes(&split)));
    }
    buffer_fini(&whole);
    buffer_fini(&split);
    return 0;
}
