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
           id == COMMAND_memcached_append || id == COMMAND_memcached_prepend || id == COMMAND_memcached_cas;
}

static void check_round_trip(const struct command *command)
{
    struct fixture fixture = {.capacity = ARGUMENTS};
    uint32_t word_count = command->argument_count - has_data(command->id);
    struct buffer text = {0};
    struct command again;
    struct bytes error;
    size_t consumed;

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
    if (parse(&fixture, buffer_bytes(&text), &again, &consumed, &error) != PARSE_DONE ||
        consumed != text.size || again.id != command->id || again.quiet != command->quiet ||
        again.argument_count != command->argument_count)
        abort();
    for (uint32_t i = 0; i < command->argument_count; i++)
        if (!bytes_equal(again.arguments[i], command->arguments[i]))
            abort();
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
    static const size_t pieces[] = {1, 2, 3, 7, 64};
    struct bytes input = bytes_of(data, size < 2048 ? size : 2048);
    struct buffer whole = {0}, split = {0};

    log_with(&whole, input, ARGUMENTS, 0);
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        buffer_clear(&split);
        log_with(&split, input, i % 2 == 0 ? 2 : ARGUMENTS, pieces[i]);
        if (!bytes_equal(buffer_bytes(&whole), buffer_bytes(&split)))
            abort();
    }
    buffer_fini(&whole);
    buffer_fini(&split);
    return 0;
}
