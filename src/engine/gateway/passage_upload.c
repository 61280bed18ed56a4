/* passage_upload.c — the body of a request: collected, or passed on piece by piece. */
#include "base/compiler.h"
#include "passage.h"

/* A body up to this size is waited for before the origin is asked, so that a client that takes its time
 * with it does not take up a connection to the origin meanwhile. */
enum { COLLECTED_BYTES_MAX = 64 * 1024 };

const char BODY_TOO_LARGE[] = "the request's body is larger than may be";

/* ---- collecting ---------------------------------------------------------------------------------- */

bool passage_is_to_be_collected(const struct request_facts *facts, const struct http_request *request)
{
    if (facts->is_body_keyed)
        return true;
    /* Whether a client that asks may go on is the origin's to say; and a body of unknown length may be a
     * conversation. */
    return facts->plan == PLAN_PASS && !request->expects_continue && request->body_bytes > 0 &&
           request->body_bytes <= COLLECTED_BYTES_MAX;
}

/* What is there of the body goes to the origin, and the rest follows, as with any other request. */
static void stop_collecting(struct passage *passage, const char *detail)
{
    passage->collects = false;
    passage->facts.is_body_keyed = false;
    passage->facts.plan = PLAN_PASS;
    passage->facts.detail = detail;
    passage_run(passage);
}

void passage_end_collecting(struct passage *passage)
{
    struct bytes body = buffer_bytes(&passage->body);

    passage->has_whole_body = true;
    if (!passage->facts.is_body_keyed)
        passage_run(passage);
    else if (passage->x->request->method == HTTP_METHOD_POST && may_be_mutation(passage->x->request, body))
        stop_collecting(passage, "mutation");
    else if (!body_digest(upstream_request(passage), body, passage->digest))
        stop_collecting(passage, "memory");
    else
        passage_run(passage);
}

enum state passage_on_collect(struct passage *passage)
{
    return passage->has_whole_body || !passage->collects ? STATE_lookup : STATE_collect;
}

/* ---- passing on ---------------------------------------------------------------------------------- */

void passage_on_upload_wanted(struct reader *reader, size_t room)
{
    struct passage *passage = CONTAINER_OF(reader, struct passage, reader);

    (void)room; /* one piece at a time: the next is asked for when this one has gone */
    if (passage->body.size > 0) {
        fetch_upload(reader, buffer_bytes(&passage->body), passage->has_whole_body);
        buffer_fini(&passage->body);
        return;
    }
    if (passage->x != NULL)
        exchange_read(passage->x, true); /* which may end the passage */
}

/* A body whose size was not said turns out to be too large: the origin, which cannot take it for whole, is
 * left. */
static void refuse_upload(struct passage *passage)
{
    fetch_leave(&passage->reader);
    passage->status.reason = FORWARD_REFUSED;
    passage->status.detail = "body";
    passage->state = passage->has_responded ? passage_over(passage, exchange_abort)
                                            : passage_refuse(passage, 413, BODY_TOO_LARGE);
    passage_run(passage);
}

void passage_on_body(struct exchange *x, struct bytes bytes)
{
    struct passage *passage = x->engine_state;

    passage->uploaded_bytes += bytes.size;
    if (passage->route->policy.request_body_max > 0 &&
        passage->uploaded_bytes > (uint64_t)passage->route->policy.request_body_max) {
        exchange_read(x, false);
        refuse_upload(passage);
        return;
    }
    if (passage->state != STATE_collect) {
        exchange_read(x, false);
        fetch_upload(&passage->reader, bytes, false);
        return;
    }
    buffer_append(&passage->body, bytes);
    if (passage->body.failed) {
        passage->facts.plan = PLAN_ANSWER;
        passage->facts.status = 503;
        passage->facts.is_body_keyed = passage->collects = false;
        passage_run(passage);
    } else if (passage->facts.is_body_keyed &&
               (int64_t)passage->body.size > passage->route->policy.cached_body_bytes_max) {
        exchange_read(x, false);
        stop_collecting(passage, "body-size");
    }
}

void passage_on_body_end(struct exchange *x)
{
    struct passage *passage = x->engine_state;

    if (passage->state == STATE_collect)
        passage_end_collecting(passage);
    else if (passage->body.size > 0) /* on_upload_wanted has still to send it */
        passage->has_whole_body = true;
    else
        fetch_upload(&passage->reader, (struct bytes){0}, true);
}
