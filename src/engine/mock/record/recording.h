/* recording.h — a folder of recorded exchanges, which a mock answers from: rules.yaml, which people may
 * edit, and bodies/.
 *
 * The same request asked again in one run, with another status or body, becomes an answer in turn, so that
 * what happened is what happens again; what an earlier run had recorded of it is replaced. A thread of its
 * own writes, for its owner's eyes alone: a kill at any moment leaves a whole rules file, of a second
 * before at worst. */
#pragma once
#include "base/log.h"
#include "redact.h"

enum {
    RECORDING_BODY_BYTES_MAX = 16 << 20,   /* of an answer: what a rule can answer with */
    RECORDING_REQUEST_BYTES_MAX = 1 << 20, /* of a request: what a mock takes */
    RECORDING_ANSWERS_MAX = 100,           /* to one request, in turn */
    RECORDING_RULES_MAX = 9000,
};

#define RECORDING_FILE "rules.yaml"
#define RECORDING_MARK "# nuthatch recording" /* with which the file begins */

struct recording; /* opaque: recording.c */

struct recording_options {
    const char *path;    /* of the folder; copied */
    struct bytes origin; /* the URL that is recorded; this and the next are kept by reference */
    struct secret_words secret;
    struct log *log;
};

/* Whether the folder at `path` is a recording: by the first line of its file. */
bool recording_is_one(const char *path);

/* Opens a recording, or begins one in a folder that is empty or yet to be made. Returns OK; ERR_EXISTS if
 * the folder is something else, or of another API, or somebody else records into it; ERR_SYNTAX if its file
 * is not laid out as a recording is; what err_from_errno says; each with a line appended to `message`;
 * ERR_NO_MEMORY. */
enum err recording_open(const struct recording_options *options, struct recording **recording,
                        struct buffer *message);

/* Writes what is not written, and ends. May be given null. */
void recording_close(struct recording *recording);

/* Notes an exchange down. What cannot be recorded is logged. `body` is emptied in any case. Any thread. */
void recording_add(struct recording *recording, const struct http_request *request,
                   struct bytes request_body, int status, const struct http_fields *fields,
                   struct buffer *body);
