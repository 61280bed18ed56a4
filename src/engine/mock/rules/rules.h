/* rules.h — what rules files say, read once and never changed: any thread may read it. docs/mock-rules.md
 * is the page for users.
 *
 *   latency, bandwidth, faults, limit: for every answer whose rule does not say its own, also for those
 *   rules:                             of no rule
 *     - name: …
 *       match: …             see matcher.h
 *       scenario: {name: …, state: …, next: …}
 *       answer: …            see rule_answer.h; a list are answers in turn; without one somebody else
 *                            answers, but as latency and its like have it
 *       events: …            instead: Server-Sent Events, see rule_events.h
 *       changes: NAME        instead: each write of that collection as an event; "*": of all
 *       websocket: …         instead: see rule_socket.h
 *       then: last | cycle   after the last answer the same again (the stream ends), or the first
 *       latency, bandwidth, faults, limit: see shape.h */
#pragma once
#include "matcher.h"
#include "rule_answer.h"
#include "rule_events.h"
#include "rule_socket.h"
#include "shape.h"

enum { RULES_FILES_MAX = 64, RULES_MAX = 10000, SCENARIOS_MAX = 1000, STATES_MAX = 100 };

/* A state machine; state 0, in which it begins, is called Started. */
struct scenario {
    struct bytes name;
    struct bytes states[STATES_MAX];
    size_t state_count;
};

struct rule {
    struct bytes name; /* "rules.yaml:12" if it has none */
    struct matcher matcher;
    struct shape shape;
    struct rule_answer *answers;
    size_t answer_count; /* 0: somebody else answers, if there are no events either */
    struct rule_events events;
    struct bytes changes; /* the collection whose writes are sent; empty: none */
    struct rule_socket socket;
    bool cycles;     /* after the last answer, or event, comes the first; else the last again, or the end */
    int scenario;    /* its place, or -1 */
    int state, next; /* required and new; -1: any, and none */
};

struct rules {
    struct rules_reader *readers; /* one a file: what everything borrows from */
    size_t reader_count;
    char **names; /* made for rules without, and what rules_own was given */
    size_t name_count;
    struct rule *rules;
    size_t count;
    struct scenario *scenarios;
    size_t scenario_count;
    struct shape rest; /* of answers that no rule is about */
    struct counter_names counters;
    size_t limit_count;
};

/* Adds what the file `path`, whose text is `text`, says to `rules`, which begin as a zeroed struct. `path`
 * must live as long. Returns OK; ERR_SYNTAX with a line for each problem appended to `message`;
 * ERR_NO_MEMORY. rules_fini in either case. */
enum err rules_read(struct rules *rules, const char *path, struct bytes text, struct buffer *message);
void rules_fini(struct rules *rules);

/* Appends the paths of the files that the rules were read from, and that are named in them, each with a
 * byte of 0 behind it. */
void rules_list_files(const struct rules *rules, struct buffer *paths);

/* Keeps `text`, such as a path, as long as the rules; frees it now and returns false without memory. */
bool rules_own(struct rules *rules, char *text);
