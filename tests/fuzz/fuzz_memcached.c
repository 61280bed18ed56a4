/* links: nuthatch-memcached nuthatch-message nuthatch-base
 * The same commands whatever the split and the room for arguments; and a command whose words are written in
 * one line is parsed as the same command again. */
#include "command_log.h"
#include "protocol/memcached/memcached.h"

enum { ARGUMENTS = 64 };

struct fixture {
    struct memcached_parser parser;
    struct bytes arguments[ARGUMENTS];
    size_t capacity;
};

static const struct memcached_limits limits = {.line_bytes_max = 600, .value_bytes_max = 1000};

static enum parse parse(void *context, struct bytes input, struct command *command, size_t *consumed,
                        struct bytes *error)
{
    struct fixture *fixture = context;
    return memcached_parse(&fixture->parser, &limits, input, fixture->arguments, fixture->capacity, command,
                           consumed, error);
}

static bool has_data(enum command_id id)
{
    return id == COMMAND_memcached_set || id == COMMAND_memcached_add || id == COMMAND_memcached_replace ||
           id == COMMAND_memcached_append || id == COMMAND_memcached_prepend ||
           id == COMMAND_memcached_cas || id == COMMAND_memcached_ms;
}

static void check_round_trip(const struct command *command)
{
    struct fixture fixture = {.capacity = ARGUMENTS};
    struct log_parser parser = {.parse = parse, .parser = &fixture};
    uint32_t word_count = command->argument_count - has_data(command->id);
    struct buffer text = {0};

    if (word_count < command->argument_count && command->arguments[word_count].data == NULL)
        return; /* too large: its data never came */
    for (uint32_t i = 0; i < word_count; i++) {
        if (i > 0)
            buffer_append_byte(&text, ' ');
        buffer_append(&text, command->arguments[i]);
    }
    buffer_append(&text, command->quiet ? BYTES(" noreply\r\n") : BYTES("\r\n"));
    if (word_count < command->argument_count) {
        buffer_append(&text, command->arguments[word_count]);
        buffer_append_literal(&text, "\r\n");
    }
    check_reads_as(&parser, buffer_bytes(&text), command);
    memcached_parser_fini(&fixture.parser);
    buffer_fini(&text);
}

static void log_with(struct buffer *log, struct bytes input, size_t capacity, size_t piece_bytes)
{
    struct fixture fixture = {.capacity = capacity};
    struct log_parser parser = {.parse = parse, .parser = &fixture, .check = check_round_trip};

    log_commands(log, &parser, input, piece_bytes, true);
    memcached_parser_fini(&fixture.parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_splits(log_with, ARGUMENTS, data, size);
    return 0;
}
