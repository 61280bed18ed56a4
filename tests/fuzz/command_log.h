/* command_log.h — everything a parser of commands says about a run of bytes, as text, however the bytes are
 * split: two ways of splitting must give the same text. And what its fuzz targets check. */
#pragma once
#include "base/buffer.h"
#include "base/compiler.h"
#include "message/command.h"
#include "protocol/parse.h"
#include <assert.h>
#include <stdlib.h>

/* A parser behind one shape; `parser` is its state. */
struct log_parser {
    enum parse (*parse)(void *parser, struct bytes input, struct command *command, size_t *consumed,
                        struct bytes *error);
    void *parser;
    /* Looks at each command once it is parsed; may be null. */
    void (*check)(const struct command *command);
};

static inline void log_command(struct buffer *log, const struct command *command)
{
    buffer_append_format(log, "%d%s", (int)command->id, command->quiet ? "q" : "");
    for (uint32_t i = 0; i < command->argument_count; i++) {
        buffer_append_format(log, " %zu:", command->arguments[i].size);
        if (command->arguments[i].data != NULL || command->arguments[i].size == 0)
            buffer_append(log, command->arguments[i]);
    }
    buffer_append_literal(log, "\n");
}

/* Feeds `input` in pieces of `piece_bytes` (0: whole), and appends to `log` a line per command and refusal
 * and how it ended. `exact` hands the parser a copy of exactly the bytes that arrived, so that a sanitizer
 * sees it read one too many. */
static inline void log_commands(struct buffer *log, const struct log_parser *parser, struct bytes input,
                                size_t piece_bytes, bool exact)
{
    size_t begin = 0, arrived = 0;

    while (arrived < input.size || input.size == 0) {
        size_t left = input.size - arrived;
        arrived += piece_bytes == 0 || piece_bytes > left ? left : piece_bytes;
        for (;;) {
            struct bytes seen = bytes_of(input.data + begin, arrived - begin), error = {0};
            char *copy = NULL;
            struct command command;
            size_t consumed = 0;
            enum parse parse;

            if (exact) {
                copy = malloc(seen.size > 0 ? seen.size : 1);
                assert(copy != NULL);
                if (seen.size > 0)
                    memcpy(copy, seen.data, seen.size);
                seen.data = copy;
            }
            parse = parser->parse(parser->parser, seen, &command, &consumed, &error);
            assert(consumed <= seen.size);
            switch (parse) {
            case PARSE_MORE: assert(consumed == 0); break;
            case PARSE_DONE:
                log_command(log, &command);
                if (parser->check != NULL)
                    parser->check(&command);
                break;
            case PARSE_REFUSED: /* the pieces in which a refused data block goes away do not matter */
                if (error.size > 0)
                    buffer_append_format(log, "refused %.*s\n", BYTES_PRINTF(error));
                break;
            case PARSE_FATAL: buffer_append_format(log, "fatal %.*s\n", BYTES_PRINTF(error)); break;
            }
            free(copy);
            if (parse == PARSE_FATAL)
                return;
            if (parse == PARSE_MORE)
                break;
            assert(consumed > 0);
            begin += consumed;
        }
        if (input.size == 0)
            break;
    }
    buffer_append_format(log, "left %zu\n", input.size - begin);
}

/* Aborts unless `text` is `command` and nothing else, as `parser` reads it. */
static inline void check_reads_as(const struct log_parser *parser, struct bytes text,
                                  const struct command *command)
{
    struct command again;
    struct bytes error;
    size_t consumed;

    if (parser->parse(parser->parser, text, &again, &consumed, &error) != PARSE_DONE ||
        consumed != text.size || again.id != command->id || again.quiet != command->quiet ||
        again.argument_count != command->argument_count)
        abort();
    for (uint32_t i = 0; i < command->argument_count; i++)
        if (!bytes_equal(again.arguments[i], command->arguments[i]))
            abort();
}

/* Aborts unless `log_with` says the same of the first 2048 bytes of `data` whole and in pieces of several
 * sizes, be the parser's room for arguments `capacity` or two. */
static inline void check_splits(void (*log_with)(struct buffer *log, struct bytes input, size_t capacity,
                                                 size_t piece_bytes),
                                size_t capacity, const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 2, 3, 7, 64};
    struct bytes input = bytes_of(data, size < 2048 ? size : 2048);
    struct buffer whole = {0}, split = {0};

    log_with(&whole, input, capacity, 0);
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        buffer_clear(&split);
        log_with(&split, input, i % 2 == 0 ? 2 : capacity, pieces[i]);
        if (!bytes_equal(buffer_bytes(&whole), buffer_bytes(&split)))
            abort();
    }
    buffer_fini(&whole);
    buffer_fini(&split);
}
