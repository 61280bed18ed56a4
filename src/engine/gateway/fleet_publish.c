#include "fleet_publish.h"
#include "base/compiler.h"
#include "engine/gateway/fleet/fleet_scripts.h"
#include "engine/gateway/fleet/fleet_value.h"
#include "fleet_take_in.h"
#include <stdio.h>
#include <stdlib.h>

struct publication {
    struct fleet_worker *fleet;
    struct list in_worker;
    struct fleet_id lease, id;
    uint64_t number;
    size_t body_bytes;
    int64_t begun_ms, renewed_ms;
    int64_t resided_ms, keep_ms; /* as of then */
    bool is_worth_coding;
    struct buffer token, key, witness, marker, value;
    struct buffer body; /* of several pieces */
    uint32_t piece, piece_count;
    struct tier_read read;
    bool is_reading;
};

static void publication_free(struct publication *publication)
{
    if (publication->is_reading)
        tier_read_end(publication->fleet->tier, &publication->read);
    list_remove(&publication->in_worker);
    publication->fleet->publishing_bytes -= publication->body_bytes;
    buffer_fini(&publication->token);
    buffer_fini(&publication->key);
    buffer_fini(&publication->witness);
    buffer_fini(&publication->marker);
    buffer_fini(&publication->value);
    buffer_fini(&publication->body);
    free(publication);
}

void publications_destroy(struct fleet_worker *fleet)
{
    for (struct list *node = fleet->publications.next, *next; node != &fleet->publications; node = next) {
        struct publication *publication = CONTAINER_OF(node, struct publication, in_worker);
        next = node->next;
        publication_free(publication);
    }
}

static int64_t deadline_of(const struct publication *publication)
{
    return loop_now(publication->fleet->worker->loop).mono_ms + FLEET_WRITE_MS;
}

static void forget_witnesses(const struct publication *publication)
{
    struct fleet_id url = fleet_id_of_url(&publication->id);
    struct tier *tier = publication->fleet->fleet->tier;
    struct fleet_key key;

    fleet_key_write(&key, &publication->id, FLEET_WITNESS);
    tier_forget(tier, fleet_key_bytes(&key));
    fleet_key_write(&key, &url, FLEET_WITNESS);
    tier_forget(tier, fleet_key_bytes(&key));
}

/* ---- the last steps ------------------------------------------------------------------------------ */

static void on_read(struct tier_read *read, const struct tier_found *found)
{
    struct publication *publication = CONTAINER_OF(read, struct publication, read);

    (void)found; /* it is near now, or a purge came at once */
    publication->is_reading = false;
    publication_free(publication);
}

static void on_filled(void *owner, enum err err, int64_t is_filled)
{
    struct publication *publication = owner;
    struct fleet_worker *fleet = publication->fleet;
    struct gateway_worker *worker = fleet->worker;
    struct fleet_key key;

    forget_witnesses(publication);
    if (err != OK || is_filled != 1) {
        /* Whether it got there is not known after an error: then the witness will tell. */
        counters_add(worker->counters, METRIC_fleet_refused, 1);
        if (err == OK)
            fleet_drop_number(worker->gateway, loop_now(worker->loop).mono_ms,
                              buffer_bytes(&publication->key), publication->number);
        publication_free(publication);
        return;
    }
    counters_add(worker->counters, METRIC_fleet_published, 1);
    fleet_key_write(&key, &publication->id, FLEET_WITNESS);
    publication->read.done = on_read;
    publication->is_reading = true;
    tier_read(fleet->tier, &publication->read, fleet_nh_key(fleet, &key), 0, 0, deadline_of(publication));
}

/* Pieces may have taken long: it is older by that, and kept for less. False if it is of no use any more. */
static bool grow_older(struct publication *publication)
{
    int64_t passed_ms = loop_now(publication->fleet->worker->loop).mono_ms - publication->begun_ms;

    if (passed_ms >= publication->keep_ms)
        return false;
    publication->keep_ms -= passed_ms;
    fleet_answer_set_times(&publication->value, publication->resided_ms + passed_ms, publication->keep_ms);
    return true;
}

static void fill(struct publication *publication)
{
    bool is_of_use = grow_older(publication); /* before the text is made of it */
    struct fleet_id url = fleet_id_of_url(&publication->id);
    struct fleet_key keys[5];
    char ttl[24], count[16], pieces[40];
    const struct bytes arguments[] = {
        buffer_bytes(&publication->token),
        bytes_of(ttl, (size_t)snprintf(ttl, sizeof ttl, "%lld", (long long)publication->keep_ms)),
        buffer_bytes(&publication->witness),
        buffer_bytes(&publication->value),
        bytes_of(pieces,
                 (size_t)snprintf(pieces, sizeof pieces, "nh:{%016llx}:c:", (unsigned long long)url.url)),
        bytes_of(count, (size_t)snprintf(count, sizeof count, "%u", publication->piece_count)),
        buffer_bytes(&publication->marker),
    };
    bool is_of_variant = publication->marker.size > 0;

    fleet_key_write(&keys[0], &publication->lease, FLEET_LEASE);
    fleet_key_write(&keys[1], &publication->id, FLEET_NAMES);
    fleet_key_write(&keys[2], &publication->id, FLEET_WITNESS);
    fleet_key_write(&keys[3], &publication->id, FLEET_ANSWER);
    fleet_key_write(&keys[4], &url, FLEET_WITNESS);
    forget_witnesses(publication);
    if (!is_of_use ||
        fleet_script_run(publication->fleet, fleet_script_fill, keys, is_of_variant ? 5 : 4, arguments,
                         is_of_variant ? 7 : 6, deadline_of(publication), on_filled, publication) == NULL)
        publication_free(publication);
}

/* ---- pieces -------------------------------------------------------------------------------------- */

static void put_piece(struct publication *publication);

/* Else the lease would be over before a large body is there. */
static void renew(struct publication *publication)
{
    int64_t now_ms = loop_now(publication->fleet->worker->loop).mono_ms;
    struct fleet_key key;
    char ttl[16];
    const struct bytes arguments[] = {
        buffer_bytes(&publication->token),
        bytes_of(ttl, (size_t)snprintf(ttl, sizeof ttl, "%d", FLEET_LEASE_MS))};

    if (now_ms - publication->renewed_ms < FLEET_LEASE_MS / 3)
        return;
    publication->renewed_ms = now_ms;
    fleet_key_write(&key, &publication->lease, FLEET_LEASE);
    fleet_script_run(publication->fleet, fleet_script_renew, &key, 1, arguments, COUNT_OF(arguments),
                     deadline_of(publication), NULL, NULL);
}

static void on_piece(void *owner, enum err err, int64_t number)
{
    struct publication *publication = owner;

    (void)number;
    renew(publication);
    publication->piece++;
    if (err != OK)
        publication_free(publication); /* the lease ends by itself */
    else if (publication->piece < publication->piece_count)
        put_piece(publication);
    else
        fill(publication);
}

static void put_piece(struct publication *publication)
{
    struct bytes rest =
        bytes_after(buffer_bytes(&publication->body), (size_t)publication->piece * FLEET_PIECE_BYTES);
    int64_t piece_ttl_ms = publication->keep_ms < FLEET_PIECE_MS ? publication->keep_ms : FLEET_PIECE_MS;
    struct buffer piece = {0};
    struct fleet_key key;
    struct fleet_script *script = NULL;

    fleet_piece_encode(&piece,
                       bytes_first(rest, rest.size < FLEET_PIECE_BYTES ? rest.size : FLEET_PIECE_BYTES),
                       publication->is_worth_coding);
    fleet_key_write_chunk(&key, &publication->id, publication->number, publication->piece);
    if (!piece.failed)
        script = fleet_script_set(publication->fleet, &key, buffer_bytes(&piece), piece_ttl_ms,
                                  deadline_of(publication), on_piece, publication);
    buffer_fini(&piece);
    if (script == NULL)
        publication_free(publication);
}

/* ---- from the beginning -------------------------------------------------------------------------- */

static bool is_coded(struct bytes fields)
{
    struct http_field field;

    while (rendered_next(&fields, &field))
        if (field.header == HTTP_HEADER_CONTENT_ENCODING)
            return true;
    return false;
}

static void write_answer(struct publication *publication, const struct publication_order *order)
{
    const struct stored_response *response = order->response;
    struct buffer piece = {0};
    struct fleet_answer answer = {
        .number = publication->number,
        .birth = order->birth,
        .status = response->status,
        .flags = response->flags,
        .resided_ms = order->resided_ms,
        .keep_ms = order->keep_ms,
        .initial_age_ms = response->initial_age_ms,
        .lifetime_ms = response->lifetime_ms,
        .stale_if_error_ms = response->stale_if_error_ms,
        .stale_while_revalidate_ms = response->stale_while_revalidate_ms,
        .asker = response->asker,
        .key = order->key,
        .fields = response->fields,
        .hidden = response->hidden,
        .reason = response->reason,
        .body_bytes = order->body.size,
    };

    if (fleet_is_in_one(order->body.size)) {
        fleet_piece_encode(&piece, order->body, publication->is_worth_coding);
        answer.piece = buffer_bytes(&piece);
    } else {
        buffer_append(&publication->body, order->body);
        publication->piece_count = fleet_piece_count(order->body.size);
    }
    fleet_answer_encode(&publication->value, &answer);
    publication->value.failed |= piece.failed;
    buffer_fini(&piece);
}

bool publish(struct fleet_worker *fleet, const struct publication_order *order)
{
    const struct stored_shared *shared = &order->response->shared;
    struct publication *publication;

    if (order->body.size > FLEET_PUBLISHING_BYTES_MAX - fleet->publishing_bytes)
        return false;
    publication = calloc(1, sizeof *publication);
    if (publication == NULL)
        return false;
    publication->fleet = fleet;
    publication->body_bytes = order->body.size;
    fleet->publishing_bytes += order->body.size;
    publication->begun_ms = publication->renewed_ms = loop_now(fleet->worker->loop).mono_ms;
    publication->resided_ms = order->resided_ms;
    publication->lease = order->lease;
    publication->id = (struct fleet_id){shared->url, {shared->variant[0], shared->variant[1]}};
    publication->number = shared->number;
    publication->keep_ms = order->keep_ms;
    publication->is_worth_coding = !is_coded(order->response->fields);
    list_init(&publication->in_worker);
    buffer_append(&publication->token, order->token);
    buffer_append(&publication->key, order->key);
    witness_write(&publication->witness,
                  &(struct witness){.kind = WITNESS_ANSWER, .number = publication->number});
    if (fleet_id_is_of_variant(&publication->id))
        witness_write(&publication->marker,
                      &(struct witness){.kind = WITNESS_VARIANTS,
                                        .number = fleet_generation_of(order->key, order->primary_size),
                                        .names = order->names});
    write_answer(publication, order);
    if (order->keep_ms <= 0 || publication->token.failed || publication->key.failed ||
        publication->witness.failed || publication->marker.failed || publication->value.failed ||
        publication->body.failed) {
        publication_free(publication);
        return false;
    }
    list_append(&fleet->publications, &publication->in_worker);
    if (publication->piece_count > 0)
        put_piece(publication);
    else
        fill(publication);
    return true;
}
