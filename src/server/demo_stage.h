/* demo_stage.h — what the tours share: steps that are announced, shown and judged, and servers in this
 * process.
 */
#pragma once
#include "base/compiler.h"
#include "server/server.h"
#include <stdio.h>

#define BOLD  "\033[1m"
#define DIM   "\033[2m"
#define GREEN "\033[32m"
#define RED   "\033[31m"
#define CYAN  "\033[36m"
#define PLAIN "\033[0m"

struct demo_stage {
    const struct options *asked; /* on the command line */
    FILE *out;
    bool colour;
    struct log *log;
    int step;
    bool held; /* every step so far */
};

void demo_stage_init(struct demo_stage *stage, const struct options *asked, FILE *out);
void demo_stage_fini(struct demo_stage *stage);

/* The code, or nothing where there is no colour. */
const char *demo_paint(const struct demo_stage *stage, const char *code);

/* Begins a step: its number and what is being tried. */
void demo_announce(struct demo_stage *stage, const char *what);

/* A time as a bar on a logarithmic scale from 10 µs to 1 s, so that both a hit and a miss can be seen. */
void demo_show_time(struct demo_stage *stage, const char *word, double milliseconds);
void demo_show(struct demo_stage *stage, const char *format, ...) PRINTF_LIKE(2, 3);

/* Ends a step: whether it held. */
void demo_conclude(struct demo_stage *stage, bool held, const char *claim);

/* The port to use: the usual one, or a free one with a word about it if somebody has that. 0 if none is
 * free. */
uint16_t demo_choose_port(struct demo_stage *stage, const char *what, uint16_t usual);

/* A copy of what was asked for on the command line, without roles and listeners: its servers come and go
 * and begin empty. False without memory; options_fini is due in any case. */
bool demo_begin_options(const struct demo_stage *stage, struct options *options);

/* Sets an option of a role as the command line would. */
bool demo_set(struct role_options *role, const char *name, const char *text);

/* A role that listens on `port`; null if there is no memory. */
struct role_options *demo_add_role(struct options *options, enum role role, const char *scheme,
                                   uint16_t port);

/* A running server; null, with a word on standard error, if it cannot be. */
struct server *demo_start(struct demo_stage *stage, const struct options *options);
void demo_stop(struct server **server); /* of null nothing happens; it becomes null */
