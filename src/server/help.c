#include "server/help.h"
#include "base/compiler.h"
#include <stdlib.h>
#include <unistd.h>

enum { NAME_COLUMNS = 34, EXAMPLE_COLUMNS = 44, STATUS_COLUMNS = 4, LINE_COLUMNS = 100 };

struct page {
    struct buffer *out;
    bool in_colour;
};

static void append_heading(struct page *page, const char *heading)
{
    buffer_append_format(page->out, page->in_colour ? "\n\033[1m%s\033[0m\n" : "\n%s\n", heading);
}

static void append_spaces(struct buffer *out, size_t count)
{
    while (count-- > 0)
        buffer_append_byte(out, ' ');
}

/* Two columns: what to write, coloured, and what it does, wrapped. */
static void append_row(struct page *page, struct bytes left, struct bytes right, size_t left_columns)
{
    size_t column = left_columns + 2;

    buffer_append_format(page->out, page->in_colour ? "  \033[36m%.*s\033[0m" : "  %.*s",
                         BYTES_PRINTF(left));
    if (left.size + 2 > left_columns) {
        buffer_append_byte(page->out, '\n');
        append_spaces(page->out, column);
    } else
        append_spaces(page->out, left_columns - left.size);
    for (size_t start = 0; start < right.size;) {
        size_t end = start;
        while (end < right.size && right.data[end] != ' ')
            end++;
        if (start > 0 && column + 1 + end - start > LINE_COLUMNS) {
            buffer_append_byte(page->out, '\n');
            append_spaces(page->out, left_columns + 2);
            column = left_columns + 2;
        } else if (start > 0) {
            buffer_append_byte(page->out, ' ');
            column++;
        }
        buffer_append(page->out, bytes_of(right.data + start, end - start));
        column += end - start;
        start = end + 1;
    }
    buffer_append_byte(page->out, '\n');
}

static void append_option(struct page *page, const struct option_row *row)
{
    struct buffer left = {0}, right = {0};

    buffer_append_format(&left, "--%s%s", row->name, row->type == OPTION_TYPE_flag ? "" : " ");
    option_append_placeholder(&left, row);
    buffer_append(&right, bytes_of_text(row->help));
    if (option_has_default(row)) {
        buffer_append_literal(&right, " [");
        option_append_value(&right, row, row->fallback);
        buffer_append_byte(&right, ']');
    }
    append_row(page, buffer_bytes(&left), buffer_bytes(&right), NAME_COLUMNS);
    buffer_fini(&left);
    buffer_fini(&right);
}

static void append_listen_note(struct page *page, enum role role)
{
    struct buffer schemes = {0};

    buffer_append_format(page->out, "  Listens at %s unless told otherwise.\n", role_row(role)->listen);
    schemes_append(&schemes, 1u << role);
    append_row(page, BYTES("schemes"), buffer_bytes(&schemes), NAME_COLUMNS);
    if (role == ROLE_CACHE)
        buffer_append_literal(page->out,
                              "  On tcp, a client's first bytes decide between the two protocols.\n");
    buffer_fini(&schemes);
}

static void append_file_note(struct page *page)
{
    append_heading(page, "The file");
    buffer_append_literal(
        page->out, "  Options of the server at the top, options of a role under it, by the same names:\n\n"
                   "    memory: 1G\n"
                   "    cache:\n"
                   "      listen: tcp://127.0.0.1:6379\n"
                   "    gateway:\n"
                   "      - origin: https://api.example.com\n"
                   "        listen: http://127.0.0.1:8080\n"
                   "        stale-if-error: 1h\n"
                   "    mock:\n"
                   "      data: db.json\n\n"
                   "  A flag on the command line wins over the file.\n");
}

static void append_example(void *context, const char *example, const char *help)
{
    append_row(context, bytes_of_text(example), bytes_of_text(help), EXAMPLE_COLUMNS);
}

static void append_status(void *context, const char *status, const char *help)
{
    append_row(context, bytes_of_text(status), bytes_of_text(help), STATUS_COLUMNS);
}

/* The parts that options are shown in, in their order. */
enum part { PART_OWN, PART_TIER, PART_SERVER, PART_COUNT };

static enum part part_of(const struct option_row *row)
{
    return option_is_of_tier(row) ? PART_TIER : option_is_of_server(row) ? PART_SERVER : PART_OWN;
}

static void append_part(struct page *page, enum verb verb, enum part part)
{
    static const char *const headings[PART_COUNT] = {"Options", "Options of the shared tier",
                                                     "Options of every command"};
    bool has_heading = false;

    for (size_t i = 0; i < option_row_count(); i++) {
        const struct option_row *row = option_row(i);
        if ((row->verbs & 1u << verb) == 0 || part_of(row) != part || option_is_operand(row))
            continue;
        if (!has_heading)
            append_heading(page, headings[part]);
        has_heading = true;
        append_option(page, row);
    }
}

static void append_verb_help(struct page *page, enum verb verb)
{
    const struct verb_row *row = verb_row(verb);
    bool is_role = (unsigned)verb < ROLE_COUNT;

    buffer_append_format(page->out, "nuthatch %s%s%s [options]\n  %s\n", row->name,
                         row->operand != NULL ? " " : "", row->operand != NULL ? row->operand : "",
                         row->summary);
    for (int i = 0; i < PART_COUNT; i++) {
        append_part(page, verb, (enum part)i);
        if (i == PART_OWN && is_role)
            append_listen_note(page, (enum role)verb);
    }
    if (verb == VERB_SERVE || verb == VERB_CHECK)
        append_file_note(page);
    append_heading(page, "Example");
    append_row(page, bytes_of_text(row->example), bytes_of_text(row->example_help), EXAMPLE_COLUMNS);
    verb_examples(verb, append_example, page);
    if (verb == VERB_PURGE || verb == VERB_STATUS)
        append_heading(page, "Exit status");
    verb_statuses(verb, append_status, page);
    buffer_append_literal(page->out, "\nSizes: 512, 64k, 1M, 1G. Times: 300ms, 5s, 2m, 1h, 1d.\n"
                                     "--name VALUE and --name=VALUE are the same.\n");
}

static void append_overview(struct page *page)
{
    buffer_append_literal(page->out, "nuthatch " NUTHATCH_VERSION
                                     " stands between services and the slow things they depend on.\n");
    append_heading(page, "Commands");
    for (int i = 0; i < VERB_COUNT; i++) {
        const struct verb_row *row = verb_row((enum verb)i);
        struct buffer left = {0};
        buffer_append_format(&left, "nuthatch %s%s%s", row->name, row->operand != NULL ? " " : "",
                             row->operand != NULL ? row->operand : "");
        append_row(page, buffer_bytes(&left), bytes_of_text(row->summary), 24);
        buffer_fini(&left);
    }
    append_heading(page, "Examples");
    for (int i = 0; i < VERB_COUNT; i++)
        append_row(page, bytes_of_text(verb_row((enum verb)i)->example),
                   bytes_of_text(verb_row((enum verb)i)->example_help), EXAMPLE_COLUMNS);
    buffer_append_literal(
        page->out, "\nnuthatch COMMAND --help lists a command's options; nuthatch --version says which "
                   "nuthatch this is.\n");
}

void help_append(struct buffer *out, enum verb verb, bool in_colour)
{
    struct page page = {out, in_colour};

    if ((unsigned)verb < VERB_COUNT)
        append_verb_help(&page, verb);
    else
        append_overview(&page);
}

bool help_print(FILE *stream, enum verb verb)
{
    const char *no_colour = getenv("NO_COLOR");
    bool in_colour = isatty(fileno(stream)) && (no_colour == NULL || no_colour[0] == '\0');
    struct buffer out = {0};
    bool written;

    help_append(&out, verb, in_colour);
    written = !out.failed && fwrite(out.data, 1, out.size, stream) == out.size && fflush(stream) == 0;
    buffer_fini(&out);
    return written;
}
