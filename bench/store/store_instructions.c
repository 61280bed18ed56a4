/* store_instructions — does one kind of operation again and again: to be run under
 *
 *     valgrind --tool=callgrind --collect-atstart=no --toggle-collect=nh_get
 *
 * which says how many instructions those calls took, from their first to their last. (The store is filled
 * with nh_add, and so not counted.) */
#include "load.h"
#include "store/measure.h"
#include "store/subject.h"
#include <stdlib.h>

static const struct {
    const char *name;
    work_function *function;
    bool of_map;
} works[] = {
    {"get", work_get, false},         {"get-many", work_get_many, false}, {"peek", work_peek, false},
    {"borrow", work_borrow, false},   {"put", work_put, false},           {"map-get", work_get, true},
    {"get-insight", work_get, false},
};

int main(int argc, char **argv)
{
    static struct chunk chunk;
    const char *name = "get";
    int64_t keys = 100000, ops = 96000;
    const struct load_option options[] = {
        {"work", "get, get-insight, get-many, peek, borrow, put or map-get", NULL, &name},
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
        subject = works[i].of_map                    ? subject_map(UINT64_MAX)
                  : strcmp(name, "get-insight") == 0 ? subject_store_with_insight(64 << 20, false)
                                                     : subject_store(64 << 20, false);
        sequence = zipf_ids(0.99, (uint64_t)keys, 1, (uint64_t)ops);
        subject_fill(&subject, (uint32_t)keys);
        for (int64_t at = 0; at < ops; at += CHUNK_OPS) {
            chunk_write(&chunk, sequence + at);
            works[i].function(&subject, &chunk, 0, CHUNK_OPS);
        }
        result("{\"work\":\"%s\",\"ops\":%lld,\"missing\":%llu}", name, (long long)ops,
               (unsigned long long)chunk.missing);
        subject_close(&subject);
        free(sequence);
        return 0;
    }
    stop("no work called \"%s\"", name);
}
