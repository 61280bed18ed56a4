/* fleet_script.c — scripts on their way to the tier, and what came of them. */
#include "fleet.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS_MAX = 8, ARGUMENTS_MAX = 24 };

struct fleet_script {
    struct valkey_call call;
    struct fleet_worker *fleet;
    struct list in_worker;
    fleet_script_done *done;
    void *owner;
    uint16_t slot;
};

static bool number_of(const struct resp_node *node, int64_t *number)
{
    *number = node->type == RESP_INTEGER ? node->integer : 0;
    if (node->type == RESP_INTEGER)
        return true;
    if (node->type == RESP_SIMPLE) /* OK of a SET */
        return true;
    if (node->type != RESP_BULK)
        return false;
    for (size_t i = 0; i < node->bytes.size; i++) {
        char c = node->bytes.data[i];
        if (c < '0' || c > '9' || *number > INT64_MAX / 10 - 10)
            return false;
        *number = *number * 10 + (c - '0');
    }
    return node->bytes.size > 0;
}

static void on_done(struct valkey_call *call, const struct valkey_answer *answer)
{
    struct fleet_script *script = CONTAINER_OF(call, struct fleet_script, call);
    struct fleet_worker *fleet = script->fleet;
    fleet_script_done *done = script->done;
    void *owner = script->owner;
    enum err err = answer->err;
    int64_t number = 0;

    if (err == OK && !number_of(answer->replies[0].nodes, &number))
        err = ERR_REFUSED;
    if (err == OK)
        fleet_note_back(fleet, script->slot);
    else if (err == ERR_REFUSED)
        fleet_note_refused(fleet, script->slot, loop_now(fleet->worker->loop).mono_ms,
                           answer->replies[0].nodes->bytes);
    else if (err != ERR_CANCELLED)
        fleet_note_away(fleet, script->slot, loop_now(fleet->worker->loop).mono_ms);
    list_remove(&script->in_worker);
    free(script);
    if (done != NULL)
        done(owner, err, number);
}

static struct fleet_script *send_command(struct fleet_worker *fleet, const struct bytes *arguments,
                                         size_t count, struct bytes key, int64_t deadline_ms,
                                         fleet_script_done *done, void *owner)
{
    struct fleet_script *script = calloc(1, sizeof *script);
    const struct valkey_command command = {arguments, (uint32_t)count};

    if (script == NULL)
        return NULL;
    script->call.done = on_done;
    script->fleet = fleet;
    script->done = done;
    script->owner = owner;
    script->slot = valkey_slot(key);
    list_init(&script->in_worker);
    list_append(&fleet->calls, &script->in_worker);
    valkey_ask(tier_valkey(fleet->tier), &script->call,
               &(struct valkey_order){.commands = &command,
                                      .command_count = 1,
                                      .target = VALKEY_SLOT,
                                      .slot = script->slot,
                                      .deadline_ms = deadline_ms});
    return script;
}

struct fleet_script *fleet_script_run(struct fleet_worker *fleet, const char *script,
                                      const struct fleet_key *keys, size_t key_count,
                                      const struct bytes *arguments, size_t argument_count,
                                      int64_t deadline_ms, fleet_script_done *done, void *owner)
{
    struct bytes all[3 + KEYS_MAX + ARGUMENTS_MAX];
    char count[8];
    size_t at = 0;

    assert(key_count <= KEYS_MAX && argument_count <= ARGUMENTS_MAX);
    all[at++] = BYTES("EVAL");
    all[at++] = bytes_of_text(script);
    all[at++] = bytes_of(count, (size_t)snprintf(count, sizeof count, "%zu", key_count));
    for (size_t i = 0; i < key_count; i++)
        all[at++] = fleet_key_bytes(&keys[i]);
    for (size_t i = 0; i < argument_count; i++)
        all[at++] = arguments[i];
    return send_command(fleet, all, at, fleet_key_bytes(&keys[0]), deadline_ms, done, owner);
}

struct fleet_script *fleet_script_set(struct fleet_worker *fleet, const struct fleet_key *key,
                                      struct bytes value, int64_t ttl_ms, int64_t deadline_ms,
                                      fleet_script_done *done, void *owner)
{
    char ttl[24];
    const struct bytes all[] = {
        BYTES_INIT("SET"), fleet_key_bytes(key), value, BYTES_INIT("PX"),
        bytes_of(ttl, (size_t)snprintf(ttl, sizeof ttl, "%lld", (long long)ttl_ms))};

    return send_command(fleet, all, COUNT_OF(all), fleet_key_bytes(key), deadline_ms, done, owner);
}

void fleet_script_forget(struct fleet_script *script) { script->done = NULL; }

void fleet_scripts_give_up(struct fleet_worker *fleet)
{
    for (struct list *node = fleet->calls.next, *next; node != &fleet->calls; node = next) {
        struct fleet_script *script = CONTAINER_OF(node, struct fleet_script, in_worker);
        next = node->next;
        valkey_give_up(tier_valkey(fleet->tier), &script->call);
        free(script);
    }
    list_init(&fleet->calls);
}
