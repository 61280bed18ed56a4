#include "client/valkey/map_query.h"
#include "base/compiler.h"

/*   shards ─────────────────────────► epochs ─► done
 *      │ not known: slots ─────────────▲
 *      └ no cluster here: role ─► done                  */

#define CLUSTER(bytes, word) "*2\r\n$7\r\nCLUSTER\r\n$" bytes "\r\n" word "\r\n"

static enum err ask(struct map_query *query)
{
    static const struct bytes commands[] = {
        [MAP_QUERY_SHARDS] = BYTES_INIT(CLUSTER("6", "SHARDS")),
        [MAP_QUERY_SLOTS] = BYTES_INIT(CLUSTER("5", "SLOTS")),
        [MAP_QUERY_EPOCHS] = BYTES_INIT(CLUSTER("5", "NODES")),
        [MAP_QUERY_ROLE] = BYTES_INIT("*1\r\n$4\r\nROLE\r\n"),
    };
    return query->send(query, commands[query->step], 1);
}

static void end(struct map_query *query, enum err err, struct bytes text)
{
    query->is_asking = false;
    if (err != OK)
        map_answer_fini(&query->answer);
    query->done(query, err, text);
}

static void go_on(struct map_query *query, int step)
{
    enum err err;

    query->step = step;
    err = ask(query);
    if (err != OK)
        end(query, err, BYTES("the next question could not be sent"));
}

static bool contains(struct bytes text, struct bytes words)
{
    for (; text.size >= words.size; text = bytes_after(text, 1))
        if (bytes_start_with(text, words))
            return true;
    return false;
}

/* Not a node of a cluster, or a server that has never heard of one. */
static bool says_no_cluster(struct bytes error)
{
    return contains(error, BYTES("cluster support disabled")) ||
           (contains(error, BYTES("unknown command")) && !contains(error, BYTES("subcommand")));
}

static void hear_map(struct map_query *query, const struct resp_node *reply)
{
    enum err err;

    if (reply->type == RESP_ERROR) {
        if (says_no_cluster(reply->bytes))
            go_on(query, MAP_QUERY_ROLE);
        else if (query->step == MAP_QUERY_SHARDS && !resp_is_error(reply, BYTES("LOADING")))
            go_on(query, MAP_QUERY_SLOTS);
        else
            end(query, ERR_UNREACHABLE, reply->bytes);
        return;
    }
    err = query->step == MAP_QUERY_SHARDS
              ? map_answer_read_shards(&query->answer, reply, &query->asked, query->with_tls)
              : map_answer_read_slots(&query->answer, reply, &query->asked);
    if (err != OK)
        end(query, err, BYTES("what it says of its cluster makes no sense"));
    else
        go_on(query, MAP_QUERY_EPOCHS);
}

static void hear_role(struct map_query *query, const struct resp_node *reply)
{
    enum err err;

    if (resp_is_error(reply, BYTES("LOADING"))) {
        end(query, ERR_UNREACHABLE, reply->bytes);
        return;
    }
    /* Who does not know ROLE, or may not be asked, is taken for what the operator has named it as. */
    err = reply->type == RESP_ERROR ? map_answer_set_lone(&query->answer, &query->asked)
                                    : map_answer_read_role(&query->answer, reply, &query->asked);
    end(query, err,
        err == ERR_TYPE ? BYTES("it is a Sentinel; name the servers that it watches instead")
        : err != OK     ? BYTES("what it says of its role makes no sense")
                        : BYTES(""));
}

static void replied(struct link_request *request, const struct resp_reply *reply)
{
    struct map_query *query = CONTAINER_OF(request, struct map_query, request);

    if (query->step == MAP_QUERY_ROLE) {
        hear_role(query, reply->nodes);
    } else if (query->step == MAP_QUERY_EPOCHS) {
        if (reply->nodes->type != RESP_ERROR) /* without them all are alike */
            map_answer_read_epochs(&query->answer, reply->nodes->bytes);
        end(query, OK, BYTES(""));
    } else {
        hear_map(query, reply->nodes);
    }
}

static void failed(struct link_request *request, enum err why, bool was_sent)
{
    (void)was_sent;
    end(CONTAINER_OF(request, struct map_query, request), why, bytes_of_text(err_text(why)));
}

enum err map_query_begin(struct map_query *query)
{
    enum err err;

    query->answer = (struct map_answer){0};
    query->request = (struct link_request){.replied = replied, .failed = failed};
    query->step = MAP_QUERY_SHARDS;
    err = ask(query);
    query->is_asking = err == OK;
    return err;
}

void map_query_end(struct map_query *query)
{
    query->is_asking = false;
    map_answer_fini(&query->answer);
}
