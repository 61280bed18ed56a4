/* kv_time.c — the time, waiting for replicas that there are not, and art. */
#include "base/number.h"
#include "engine/kv/kv_call.h"
#include "engine/kv/kv_version.h"

static void reply_number_text(const struct kv_call *call, int64_t number)
{
    char text[NUMBER_TEXT_BYTES];
    reply_value(call->reply, bytes_of(text, int64_format(text, number)));
}

/* Seconds, and microseconds of which the last three are 0. */
void kv_time(const struct kv_call *call)
{
    reply_aggregate(call->reply, OUTCOME_array, 2);
    reply_number_text(call, call->now.wall_ms / 1000);
    reply_number_text(call, call->now.wall_ms % 1000 * 1000);
}

/* How many replicas have what was written: none, and no waiting would make them more. */
void kv_wait(const struct kv_call *call)
{
    int64_t replica_count, timeout_ms;

    if (!int64_parse(call->arguments[1], &replica_count))
        kv_integer_error(call);
    else if (!int64_parse(call->arguments[2], &timeout_ms))
        kv_error(call, "ERR timeout is not an integer or out of range");
    else if (timeout_ms < 0)
        kv_error(call, "ERR timeout is negative");
    else
        reply_integer(call->reply, 0);
}

void kv_lolwut(const struct kv_call *call)
{
    static const char art[] = "       __\n"
                              "  ___-/o `-_\n"
                              " (_-__'     `-._\n"
                              "      `--._     `--.\n"
                              "   ||||||| `-.___.-'\n"
                              "\n"
                              "A nuthatch, head first down the trunk.\n"
                              "Redis ver. " KV_REDIS_VERSION "\n";
    int64_t version;

    if (call->argument_count > 2 && kv_argument_is(call, 1, BYTES("version")) &&
        !int64_parse(call->arguments[2], &version))
        kv_integer_error(call);
    else
        reply_say(call->reply, &(struct outcome){.kind = OUTCOME_verbatim, .bytes = bytes_of_text(art)});
}
