/* links: nuthatch-server */
/* A configuration is taken whole or refused with a line for each problem; what is taken can be served, and
 * says the same when it is read again. */
#undef NDEBUG /* the assertions are the test */
#include "server/gateway_plan.h"
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken can be planned, but for credentials, which are elsewhere. */
static void check_plan(struct role_options *role)
{
    struct plan_spec spec;
    struct route_plan *plan;
    struct buffer message = {0};
    struct options none;
    enum err err;

    for (size_t i = 0; i < role->route_count; i++) {
        free(role->routes[i].spec.credential.header);
        role->routes[i].spec.credential.header = NULL;
    }
    options_init(&none);
    assert(plan_spec_init(&spec, &none, role, &message) == OK);
    err = plan_create(&spec, NULL, &plan);
    plan_spec_fini(&spec);
    assert(err == OK && plan->route_count == role->route_count);
    plan_release(plan);
}

static void check_complete(struct options *options)
{
    assert(options->role_count > 0);
    assert(options->connection_buffer_bytes > options->value_bytes_max);
    assert(options->value_bytes_max <= options->memory_bytes / 2);
    for (size_t i = 0; i < options->role_count; i++) {
        struct role_options *role = &options->roles[i];
        assert(role->listens.count > 0);
        if (role->role == ROLE_GATEWAY)
            check_plan(role);
        assert((role->role == ROLE_GATEWAY) <=
               (role->upstream_policy.origin_urls != NULL || role->upstream_count > 0));
        assert((role->role == ROLE_MOCK) <= (role->data_path != NULL));
        for (size_t j = 0; j < role->listens.count; j++)
            assert(strrchr(role->listens.items[j].address, ':') != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct options first, second;
    struct buffer message = {0}, again = {0};
    enum err err;

    options_init(&first);
    options_init(&second);
    err = options_read_yaml(&first, "fuzz.yaml", bytes_of(data, size), &message);
    assert(err == OK || err == ERR_SYNTAX);
    assert((err == OK) == (message.size == 0));
    for (size_t i = 0; i < message.size; i++)
        assert(message.data[i] == '\n' || (unsigned char)message.data[i] >= 0x20);
    if (err == OK)
        check_complete(&first);
    assert(options_read_yaml(&second, "fuzz.yaml", bytes_of(data, size), &again) == err);
    assert(bytes_equal(buffer_bytes(&message), buffer_bytes(&again)));
    assert(first.role_count == second.role_count);
    options_fini(&first);
    options_fini(&second);
    buffer_fini(&message);
    buffer_fini(&again);
    return 0;
}
