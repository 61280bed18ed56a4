/* recorder.h — a proxy to one API that writes down what it says, for a mock to say it again: see
 * recording.h.
 *
 * Requests and answers go through as they come, bodies piece by piece; what the origin is asked for is
 * plain (no content coding) and whole (no condition, no range, in a GET), so that it can be said again. Not
 * written down, but passed on: HEAD, event streams, bodies beyond the bounds of recording.h, what was cut
 * off, and what was answered before the request's body was there. Not passed on: what a page of another
 * origin wants changed, and paths with dot segments, which could lead out of the API's URL. */
#pragma once
#include "base/counters.h"
#include "message/exchange.h"
#include "net/loop.h"
#include "recording.h"

struct recorder;        /* shared by the workers */
struct recorder_worker; /* one worker's part */

struct recorder_options {
    const char *path;             /* of the folder */
    const char *url;              /* of the API: "https://api.example.com/base". Kept by reference */
    const char *authorities_path; /* PEM, of an https API; null: the system's. Kept by reference */
    char *const *secret_names;    /* beside those that look like one; kept by reference */
    size_t secret_name_count;
    struct log *log;
    const struct bytes
        *hosts; /* that it goes by, as http_guard_pages has it: copied, the texts by reference */
    size_t host_count;
    bool is_local; /* it listens on loopback alone */
};

/* Errors as of recording_open, with a line appended to `message`. */
enum err recorder_create(const struct recorder_options *options, struct recorder **recorder,
                         struct buffer *message);
void recorder_destroy(struct recorder *recorder); /* may be given null */

enum err recorder_worker_create(struct recorder *recorder, struct loop *loop, struct counters *counters,
                                struct recorder_worker **worker);
/* After the loop has ended; no exchange of this worker may be alive. May be given null. */
void recorder_worker_destroy(struct recorder_worker *worker);

/* `begin` takes a struct recorder_worker. */
extern const struct exchange_engine recorder_engine;
