/* links: nuthatch-valkey nuthatch-resp
 * What a server of the tier says of itself, read as each of its kinds whatever it is: its commands, its
 * cluster, and where else to ask. The first line is an error's text and the arguments of a command; a reply
 * follows. Whoever is named can be connected to, slots have nodes that are there, keys are arguments. */
#include "base/compiler.h"
#include "client/valkey/map_answer.h"
#include "client/valkey/redirection.h"
#include "client/valkey/server_commands.h"
#include <stdlib.h>

enum { ARGUMENTS_MAX = 16, INDEXES_MAX = 8 };

static const struct resp_reply_limits limits = {
    .reply_bytes_max = 4096, .nodes_max = 1000, .depth_max = RESP_DEPTH_MAX};
static const struct link_address asked = {.host = "192.0.2.1", .port = 6379};

static void expect(bool condition)
{
    if (!condition)
        abort();
}

static void check_redirection(struct bytes error)
{
    struct redirection redirection = redirection_read(error, asked.host);

    if (redirection.kind != REDIRECTION_MOVED && redirection.kind != REDIRECTION_ASK)
        return;
    expect(redirection.slot < VALKEY_SLOT_COUNT && redirection.address.port > 0);
    expect(strlen(redirection.address.host) <= VALKEY_HOST_BYTES_MAX);
    expect(strpbrk(redirection.address.host, " \r\n/[]@?") == NULL);
}

static void check_commands(const struct resp_reply *reply, const struct bytes *arguments, uint32_t count)
{
    struct server_commands *commands;
    const struct server_command *command;
    uint32_t indexes[INDEXES_MAX];
    int key_count;

    if (server_commands_create(reply, &commands) != OK)
        return;
    command = server_commands_find(commands, arguments, count);
    if (command != NULL) {
        key_count = server_command_keys(commands, command, arguments, count, indexes, INDEXES_MAX);
        for (int i = 0; i < key_count && i < INDEXES_MAX; i++)
            expect(indexes[i] > 0 && indexes[i] < count);
    }
    server_commands_destroy(commands);
}

static void check_map(struct map_answer *answer, enum err err, struct bytes epochs)
{
    if (err != OK) {
        expect(answer->nodes == NULL && answer->node_of_slot == NULL);
        return;
    }
    map_answer_read_epochs(answer, epochs);
    for (size_t i = 0; i < answer->node_count; i++)
        expect(answer->nodes[i].primary < answer->node_count || answer->nodes[i].primary == MAP_NOBODY);
    for (size_t i = 0; answer->node_of_slot != NULL && i < VALKEY_SLOT_COUNT; i++)
        expect(answer->node_of_slot[i] < answer->node_count || answer->node_of_slot[i] == MAP_NOBODY);
    map_answer_fini(answer);
}

static void check_cluster(const struct resp_node *node, struct bytes epochs)
{
    struct map_answer answer = {0};

    for (int with_tls = 0; with_tls <= 1; with_tls++)
        check_map(&answer, map_answer_read_shards(&answer, node, &asked, with_tls), epochs);
    check_map(&answer, map_answer_read_slots(&answer, node, &asked), epochs);
    check_map(&answer, map_answer_read_role(&answer, node, &asked), epochs);
}

static uint32_t split(struct bytes line, struct bytes arguments[ARGUMENTS_MAX])
{
    uint32_t count = 0;

    while (line.size > 0 && count < ARGUMENTS_MAX) {
        const char *space = memchr(line.data, ' ', line.size);
        size_t size = space != NULL ? (size_t)(space - line.data) : line.size;
        arguments[count++] = bytes_first(line, size);
        line = bytes_after(line, space != NULL ? size + 1 : size);
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of(data, size), line, error, arguments[ARGUMENTS_MAX];
    const char *end = size > 0 ? memchr(data, '\n', size) : NULL;
    struct resp_reply_parser parser = {0};
    struct resp_reply reply;
    size_t consumed;
    uint32_t count;

    line = end != NULL ? bytes_first(input, (size_t)(end - input.data)) : input;
    count = split(line, arguments);
    check_redirection(line);
    input = bytes_after(input, end != NULL ? line.size + 1 : line.size);
    if (resp_reply_parse(&parser, &limits, input, &reply, &consumed, &error) == PARSE_DONE) {
        if (resp_is_error(reply.nodes, BYTES("MOVED")))
            check_redirection(reply.nodes->bytes);
        check_commands(&reply, arguments, count);
        check_cluster(reply.nodes, bytes_after(input, consumed));
    }
    resp_reply_parser_fini(&parser);
    return 0;
}
