/* store_instructions — does a number of operations inside `counted`, and nothing else there: to be run
 * under
 *
 *     valgrind --tool=callgrind --collect-atstart=no --toggle-collect=counted
 *
 * which says how many instructions that took. The work "nothing" is the loop alone. */
#include "load.h"
#include "store/measure.h"
#include "store/subject.h"
#include <stdlib.h>

static const struct {
    const char *name;
    work_function *function;
    bool of_map;
} works[] = {
    {"nothing", work_nothing, false}, {"get", work_get, false},       {"get-many", work_get_many, false},
    {"peek", work_peek, false},       {"borrow", work_borrow, false}, {"put", work_put, false},
    {"map-get", work_get, true},      {"map-put", work_put, true},
};

void counted(work_function *work, struct subject *subject, struct chunk *chunk);

void counted(work_function *work, struct subject *subject, struct chunk *chunk)
{
    work(subject, chunk, 0, CHUNK_OPS);
    __asm__ volatile(""
                     :
                     :
                     : "memory"); /* no jump into `work`: callgrind would not see this function end */
}

/* Called through this, so that no compiler makes it a part of its caller, or a variant with another name.
 */
static void (*volatile counted_call)(work_function *, struct subject *, struct chunk *) = counted;

int main(int argc, char **argv)
{
    static struct chunk chunk;
    const char *name = "get";
    int64_t keys = 100000, ops = 96000;
    const struct load_option options[] = {
        {"work", "nothing, get, get-many, peek, borrow, put, map-get or map-put", NULL, &name},
        {"keys", "how many items (100000)", &keys, NULL},
        {"ops", "how many operations, a multiple of 160 (96000)", &ops, NULL},
    };

    options_read(argc, argv, options, sizeof options / sizeof options[0]);
    ops -= ops % CHUNK_OPS;
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++) {
        struct subject subject;
        uint32_t *sequence;
        if (strcmp(works[i].name, name) != 0)
            continue;
        subject = works[i].of_map ? subject_map(UINT64_MAX) : subject_store(64 << 20, false);
        sequence = zipf_ids(0.99, (uint64_t)keys, 1, (uint64_t)ops);
        subject_fill(&subject, (uint32_t)keys);
        for (int64_t at = 0; at < ops; at += CHUNK_OPS) {
            chunk_write(&chunk, sequence + at);
            counted_call(works[i].function, &subject, &chunk);
        }
        result("{\"work\":\"%s\",\"ops\":%lld,\"missing\":%llu}", name, (long long)ops,
               (unsigned long long)chunk.missing);
        subject_close(&subject);
        free(sequence);
        return 0;
    }
    stop("no work called \"%s\"", name);
}
