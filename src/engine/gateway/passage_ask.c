/* passage_ask.c — what the fleet has of what a passage asks for, before its node's own store is believed.
 */
#include "fleet_take_in.h"
#include "lookup_key.h"
#include "passage.h"

bool asks_fenced(const struct gateway_worker *worker, const struct http_request *request)
{
    const struct http_field *field =
        worker->fleet == NULL ? NULL : http_fields_find(&request->fields, HTTP_HEADER_NUTHATCH_FENCED);

    return field != NULL && bytes_equal(field->value, BYTES("1"));
}

static void on_told(struct asker *asker, const struct fleet_reply *reply)
{
    struct passage *passage = CONTAINER_OF(asker, struct passage, asker);

    passage->fleet_reply = *reply;
    passage->has_brought |= reply->was_brought;
    passage->fleet_stage = passage->fleet_stage == FLEET_UNASKED && reply->verdict == FLEET_VARIES
                               ? FLEET_ASKED_URL
                               : FLEET_ASKED;
    passage->is_asking = false;
    passage_run(passage);
}

static bool needs_no_answer(const struct passage *passage, const struct cache_key *key, enum use use)
{
    return use == USE_FRESH && !asks_fenced(passage->worker, passage->x->request) &&
           (passage->found.is_part ||
            fleet_holds(passage->worker, key, &passage->found.response, passage_now(passage).mono_ms));
}

bool passage_asks(struct passage *passage, const struct cache_key *key, enum use use)
{
    struct fleet_worker *fleet = passage->worker->fleet;
    struct cache_key asked;
    struct fleet_id id;

    if (fleet == NULL || passage->fleet_stage == FLEET_ASKED || passage->facts.is_body_keyed ||
        !fleet_takes(passage->worker, cache_key_bytes(key), key->primary_size, &id))
        return false;
    if (passage->fleet_stage == FLEET_UNASKED && needs_no_answer(passage, key, use))
        return false;
    if (passage->fleet_stage == FLEET_ASKED_URL && !fleet_id_is_of_variant(&id)) {
        passage->fleet_stage = FLEET_ASKED; /* the marker has gone again */
        passage->fleet_reply = (struct fleet_reply){.verdict = FLEET_NOTHING};
        return false;
    }
    memcpy(asked.text, key->text, key->size);
    asked.primary_size = key->primary_size;
    asked.size = key->size;
    if (passage->fleet_stage == FLEET_UNASKED) {
        asked.size = asked.primary_size;
        id = fleet_id_of_url(&id);
    }
    found_release(passage->worker->gateway, &passage->found);
    passage->is_asking = true;
    passage->asker.told = on_told;
    question_ask(fleet, &passage->asker, &id, &asked, passage->route,
                 asks_fenced(passage->worker, passage->x->request));
    return true;
}

/* Whether what was found is what the fleet has, as far as that is known. */
static bool is_good(struct passage *passage, const struct cache_key *key)
{
    struct stored_response *response = &passage->found.response;
    const struct fleet_reply *reply = &passage->fleet_reply;

    if (passage->worker->fleet == NULL || passage->found.is_part)
        return true;
    if (passage->fleet_stage != FLEET_ASKED || response->shared.number == 0)
        return fleet_holds(passage->worker, key, response, passage_now(passage).mono_ms);
    if (reply->verdict == FLEET_AWAY ||
        (reply->verdict == FLEET_NOTHING &&
         fleet_counts_alone(passage->worker->fleet, &response->shared, passage_now(passage).mono_ms)))
        return true;
    if (reply->verdict != FLEET_HAS || reply->number != response->shared.number)
        return false;
    if (reply->is_soft)
        response->flags |= STORED_PURGED;
    return true;
}

void passage_believe(struct passage *passage, const struct cache_key *key)
{
    struct gateway *gateway = passage->worker->gateway;
    uint64_t number;

    if (!passage->found.is_there || is_good(passage, key))
        return;
    number = passage->found.response.shared.number;
    found_release(gateway, &passage->found);
    if (number != 0)
        fleet_drop_number(gateway, passage_now(passage).mono_ms, cache_key_bytes(key), number);
}

uint64_t passage_fleet_number(const struct passage *passage)
{
    return passage->fleet_stage == FLEET_ASKED ? passage->fleet_reply.number : 0;
}

bool passage_may_lease(const struct passage *passage)
{
    return passage->worker->fleet != NULL && passage->fleet_stage == FLEET_ASKED &&
           passage->fleet_reply.verdict != FLEET_AWAY && passage->fleet_reply.verdict != FLEET_NOT_FOR_ALL;
}

enum state passage_on_ask(struct passage *passage) { return passage->is_asking ? STATE_ask : STATE_lookup; }
