#include "server/demo_stage.h"
#include "net/listen.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void demo_stage_init(struct demo_stage *stage, const struct options *asked, FILE *out)
{
    *stage = (struct demo_stage){.asked = asked,
                                 .out = out,
                                 .colour = isatty(fileno(out)) && getenv("NO_COLOR") == NULL,
                                 .log = log_create(stderr, LOG_ERROR, &clock_system),
                                 .held = true};
}

void demo_stage_fini(struct demo_stage *stage) { log_destroy(stage->log); }

const char *demo_paint(const struct demo_stage *stage, const char *code)
{
    return stage->colour ? code : "";
}

/* ---- showing ----------------------------------------------------------------------------------- */

void demo_announce(struct demo_stage *stage, const char *what)
{
    fprintf(stage->out, "\n%s%d%s  %s\n", demo_paint(stage, BOLD CYAN), ++stage->step,
            demo_paint(stage, PLAIN), what);
    fflush(stage->out);
}

void demo_show_time(struct demo_stage *stage, const char *word, double milliseconds)
{
    enum { WIDTH = 40 };
    double share = (log10(milliseconds * 1000) - 1) / 5;
    int filled = share < 0.025 ? 1 : share > 1 ? WIDTH : (int)(share * WIDTH + 0.5);

    fprintf(stage->out, "   %s%-6s%s %9.3f ms  %s", demo_paint(stage, BOLD), word, demo_paint(stage, PLAIN),
            milliseconds, demo_paint(stage, milliseconds < 50 ? GREEN : CYAN));
    for (int i = 0; i < filled; i++)
        fputs("█", stage->out);
    fprintf(stage->out, "%s\n", demo_paint(stage, PLAIN));
}

void demo_show(struct demo_stage *stage, const char *format, ...)
{
    va_list arguments;

    fprintf(stage->out, "   %s", demo_paint(stage, DIM));
    va_start(arguments, format);
    vfprintf(stage->out, format, arguments);
    va_end(arguments);
    fprintf(stage->out, "%s\n", demo_paint(stage, PLAIN));
}

void demo_conclude(struct demo_stage *stage, bool held, const char *claim)
{
    fprintf(stage->out, "   %s%s%s %s\n", demo_paint(stage, held ? GREEN : RED),
            held ? "✓" : "✗ NOT SO:", demo_paint(stage, PLAIN), claim);
    fflush(stage->out);
    stage->held = stage->held && held;
}

/* ---- servers ----------------------------------------------------------------------------------- */

uint16_t demo_choose_port(struct demo_stage *stage, const char *what, uint16_t usual)
{
    char text[ADDRESS_TEXT_BYTES];
    struct address address;
    uint16_t port = 0;
    int fd;

    for (int attempt = 0; attempt < 2 && port == 0; attempt++) {
        snprintf(text, sizeof text, "127.0.0.1:%d", attempt == 0 ? usual : 0);
        if (address_parse(bytes_of_text(text), &address) == OK && listen_open(&address, false, &fd) == OK) {
            port = address_port(&address);
            close(fd);
        }
    }
    if (port != usual)
        fprintf(stage->out, "Port %d is in use: %s is on port %d instead.\n", usual, what, port);
    return port;
}

bool demo_set(struct role_options *role, const char *name, const char *text)
{
    const struct option_row *row = option_find_key(1u << role->role, bytes_of_text(name));
    struct buffer why = {0};
    bool ok = row != NULL && option_set(row, role, bytes_of_text(text), (struct place){0}, &why) == OK;

    buffer_fini(&why);
    return ok;
}

struct role_options *demo_add_role(struct options *options, enum role role, const char *scheme,
                                   uint16_t port)
{
    struct role_options *added = options_add_role(options, role, (struct place){0});
    char listen[ADDRESS_TEXT_BYTES];

    snprintf(listen, sizeof listen, "%s://127.0.0.1:%d", scheme, port);
    return added != NULL && demo_set(added, "listen", listen) ? added : NULL;
}

bool demo_begin_options(const struct demo_stage *stage, struct options *options)
{
    enum err err = OK;

    options_init(options);
    for (size_t i = 0; i < option_row_count() && err == OK; i++) {
        const struct option_row *row = option_row(i);
        const void *from = (const char *)stage->asked + row->offset;
        if (row->scope == OPTION_OF_SERVER && row->type != OPTION_TYPE_listens)
            err = option_copy(row, from, option_field(row, options));
    }
    free(options->persist_path);
    options->persist_path = NULL;
    return err == OK;
}

struct server *demo_start(struct demo_stage *stage, const struct options *options)
{
    struct buffer message = {0};
    struct server *server = NULL;
    enum err err = server_create(options, stage->log, &clock_system, &message, &server);

    if (err == OK)
        err = server_start(server);
    if (err != OK)
        fprintf(stderr, "nuthatch: %.*s%s\n", BYTES_PRINTF(buffer_bytes(&message)), err_text(err));
    buffer_fini(&message);
    return err == OK ? server : NULL;
}

void demo_stop(struct server **server)
{
    if (*server == NULL)
        return;
    server_drain(*server, 0);
    server_join(*server);
    server_destroy(*server);
    *server = NULL;
}
