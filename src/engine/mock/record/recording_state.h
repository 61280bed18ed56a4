/* recording_state.h — what a recording is, for the files that work on one: recording_folder.c finds what is
 * there, recording_rules.c keeps the rules and writes them, recording.c has the thread and all that goes to
 * it. */
#pragma once
#include "base/err.h"
#include "base/list.h"
#include "recording.h"
#include <pthread.h>
#include <stdlib.h>

enum {
    FILE_BYTES_MAX = 4 << 20, /* what a mock reads */
    NAME_BYTES_MAX = 32,      /* of "bodies/0001.json" */
};

/* An exchange on its way to the thread, as lines. */
struct noted {
    struct list in_list;
    struct buffer name_line, match_lines, answer_lines, body;
    int status;
    const char *ending;
};

/* One answer of a rule of this run. */
struct answer {
    char *lines;
    char file[NAME_BYTES_MAX]; /* empty: it has no body */
    int status;
    uint64_t body_hash; /* to tell another answer from the same again */
    size_t body_bytes;
};

/* A rule. One that was there before is kept as it stands, and a person may have edited it. */
struct block {
    char *name_line, *lines; /* `lines`: what is behind the name; of a rule of this run, its match */
    struct answer *answers;
    size_t answer_count; /* 0: it was there before */
};

struct recording {
    char *path, *file_path;
    struct bytes origin;
    struct secret_words secret;
    struct log *log;
    uint64_t hash_seed;
    int folder_fd; /* locked */
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* of the next four */
    pthread_cond_t news;
    struct list waiting;
    size_t waiting_bytes;
    bool is_ending;
    /* the thread's */
    char *before, *behind; /* what the file says before and behind its rules */
    struct block *blocks;
    size_t block_count, text_bytes;
    unsigned body_number;
    uint64_t bodies_bytes;
    char **old_files; /* which no rule names any more, once the file is written */
    size_t old_file_count;
    bool is_dirty, has_failed, was_full;
};

static inline char *recording_copy(struct bytes text)
{
    return strndup(text.size > 0 ? text.data : "", text.size);
}

/* The first line of `text`, with its end. */
static inline struct bytes recording_line(struct bytes text)
{
    const char *end = text.size > 0 ? memchr(text.data, '\n', text.size) : NULL;
    return end != NULL ? bytes_first(text, (size_t)(end - text.data) + 1) : text;
}

/* Adds a zeroed rule at the end; null without memory. */
struct block *recording_add_block(struct recording *recording);

/* The URL as the first line of the file has it. */
struct bytes recording_origin(struct bytes url);

/* Locks the folder and takes its file apart, or begins a new one. Errors as of recording_open. */
enum err recording_read_folder(struct recording *recording, struct buffer *message);

/* Puts the exchange in the place of what an earlier run had recorded of that request, behind what this one
 * has, or at the end. False, with `errno`, if it cannot be. */
bool recording_put(struct recording *recording, const struct noted *noted);

/* Writes the file, if it can be; else it stays dirty. */
void recording_write(struct recording *recording);

/* Frees the rules. */
void recording_rules_fini(struct recording *recording);
