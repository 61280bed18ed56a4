/* links: nuthatch-resp nuthatch-message nuthatch-base
 * The same commands whatever the split and the room for arguments; and a command that is rendered as an
 * array of bulk strings is parsed as the same command again. */
#include "command_log.h"
#include "protocol/resp/resp.h"

enum { ARGUMENTS = 64 };

struct fixture {
    struct resp_parser parser;
    struct bytes arguments[ARGUMENTS];
    size_t capacity;
};

static const struct resp_limits limits = {
    .arguments_max = 1000, .bulk_bytes_max = 4096, .inline_bytes_max = 256};

static enum parse parse(void *context, struct bytes input, struct command *command, size_t *consumed,
                        struct bytes *error)
{
    struct fixture *fixture = context;
    return resp_parse(&fixture->parser, &limits, input, fixture->arguments, fixture->capacity, command,
                      consumed, error);
}

static void check_round_trip(const struct command *command)
{
    struct fixture fixture = {.capacity = ARGUMENTS};
    struct log_parser parser = {.parse = parse, .parser = &fixture};
    struct buffer text = {0};

    if (command->argument_count == 0)
        return;
    resp_render(&text, 2, &(struct outcome){.kind = OUTCOME_array, .count = command->argument_count});
    for (uint32_t i = 0; i < command->argument_count; i++)
        resp_render(&text, 2, &(struct outcome){.kind = OUTCOME_value, .bytes = command->arguments[i]});
    check_reads_as(&parser, buffer_bytes(&text), command);
    resp_parser_fini(&fixture.parser);
    buffer_fini(&text);
}

static void log_with(struct buffer *log, struct bytes input, size_t capacity, size_t piece_bytes)
{
    struct fixture fixture = {.capacity = capacity};
    struct log_parser parser = {.parse = parse, .parser = &fixture, .check = check_round_trip};

    log_commands(log, &parser, input, piece_bytes, true);
    resp_parser_fini(&fixture.parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_splits(log_with, ARGUMENTS, data, size);
    return 0;
}
