/* links: nuthatch-server */
#include "server/help.h"
#include "test.h"
#include <ctype.h>

static bool contains(const struct buffer *text, const char *part)
{
    return memmem(text->data, text->size, part, strlen(part)) != NULL;
}

/* Some names mean one thing to the server and another to a command. */
static bool is_flag(enum verb verb, const char *name)
{
    for (size_t i = 0; i < option_row_count(); i++) {
        const struct option_row *row = option_row(i);
        if (strcmp(row->name, name) == 0 && (row->verbs & 1u << verb) != 0 && !option_is_operand(row))
            return true;
    }
    return false;
}

TEST(the_help_of_a_command_names_each_of_its_options_and_no_other)
{
    for (int verb = 0; verb < VERB_COUNT; verb++) {
        struct buffer text = {0};
        help_append(&text, (enum verb)verb, false);
        for (size_t i = 0; i < option_row_count(); i++) {
            const struct option_row *row = option_row(i);
            char flag[64];
            snprintf(flag, sizeof flag, "  --%s ", row->name);
            if (contains(&text, flag) != is_flag((enum verb)verb, row->name))
                fail_msg("%s and %s", verb_row((enum verb)verb)->name, row->name);
        }
        EXPECT(contains(&text, verb_row((enum verb)verb)->example));
        buffer_fini(&text);
    }
}

TEST(the_overview_names_every_command)
{
    struct buffer text = {0};
    help_append(&text, VERB_HELP, false);
    for (int verb = 0; verb < VERB_COUNT; verb++) {
        EXPECT(contains(&text, verb_row((enum verb)verb)->example));
        EXPECT(contains(&text, verb_row((enum verb)verb)->example_help));
    }
    EXPECT(contains(&text, NUTHATCH_VERSION));
    buffer_fini(&text);
}

TEST(help_fits_a_terminal_and_is_plain_unless_coloured)
{
    for (int verb = 0; verb <= VERB_HELP; verb++) {
        struct buffer plain = {0}, coloured = {0};
        size_t column = 0;
        help_append(&plain, (enum verb)verb, false);
        help_append(&coloured, (enum verb)verb, true);
        for (size_t i = 0; i < plain.size; i++) {
            EXPECT(plain.data[i] == '\n' || isprint((unsigned char)plain.data[i]));
            column = plain.data[i] == '\n' ? 0 : column + 1;
            EXPECT(column <= 100);
            EXPECT(plain.data[i] != '\n' || i == 0 || plain.data[i - 1] != ' ');
        }
        EXPECT(contains(&coloured, "\033[1m"));
        buffer_fini(&plain);
        buffer_fini(&coloured);
    }
}

TEST(help_into_a_file_is_plain)
{
    char text[65536];
    struct buffer wanted = {0};
    FILE *file = tmpfile();
    size_t size;

    EXPECT(help_print(file, VERB_GATEWAY));
    rewind(file);
    size = fread(text, 1, sizeof text, file);
    help_append(&wanted, VERB_GATEWAY, false);
    EXPECT_TEXT(bytes_of(text, size), buffer_bytes(&wanted));
    fclose(file);
    buffer_fini(&wanted);
}

TEST(help_that_cannot_be_written_is_not_called_written)
{
    FILE *full = fopen("/dev/full", "w");
    EXPECT(!help_print(full, VERB_HELP));
    fclose(full);
}

RUN_TESTS(TEST_ROW(the_help_of_a_command_names_each_of_its_options_and_no_other),
          TEST_ROW(the_overview_names_every_command),
          TEST_ROW(help_fits_a_terminal_and_is_plain_unless_coloured), TEST_ROW(help_into_a_file_is_plain),
          TEST_ROW(help_that_cannot_be_written_is_not_called_written))
