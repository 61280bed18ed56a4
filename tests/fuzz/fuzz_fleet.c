/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* Any bytes as what the gateway reads from the shared tier: what is taken is within bounds, and an answer
 * is one that would be written so again. The checksum is put right, or nothing would ever get behind it. */
#undef NDEBUG /* the assertions are the test */
#include "base/hash.h"
#include "engine/gateway/fleet/fleet_log.h"
#include "engine/gateway/fleet/fleet_value.h"
#include "engine/gateway/fleet/witness.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_answer(struct bytes bytes)
{
    struct buffer value = {0}, again = {0}, body = {0};
    struct fleet_answer answer;
    uint64_t checksum;

    if (bytes.size >= 16) {
        buffer_append_literal(&value, "nhAnswr2");
        checksum = hash_bytes(bytes_after(bytes, 16), 1);
        buffer_append(&value, bytes_of(&checksum, sizeof checksum));
        buffer_append(&value, bytes_after(bytes, 16));
        if (fleet_answer_decode(buffer_bytes(&value), &answer)) {
            fleet_answer_encode(&again, &answer);
            assert(bytes_equal(buffer_bytes(&again), buffer_bytes(&value)));
            if (fleet_piece_decode(&body, answer.piece, answer.body_bytes))
                assert(body.size == answer.body_bytes);
        }
    }
    buffer_fini(&value);
    buffer_fini(&again);
    buffer_fini(&body);
}

static void read_log(struct bytes bytes)
{
    struct buffer value = {0};
    struct fleet_record record;
    struct fleet_log log;

    /* The table is left out of the input. */
    buffer_append(&value, bytes_first(bytes, bytes.size < 32 ? bytes.size : 32));
    for (unsigned i = 0; i < FLEET_LOG_TAGS; i++)
        buffer_append_literal(&value, "\0\0\0\0\0\0\0\0");
    buffer_append(&value, bytes_after(bytes, bytes.size < 32 ? bytes.size : 32));
    if (fleet_log_read(&log, buffer_bytes(&value))) {
        uint64_t before = log.left;
        while (fleet_log_next(&log, &record)) {
            assert(record.number > before && record.number <= log.number);
            before = record.number;
        }
        assert(log.records.size == 0);
    }
    buffer_fini(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes bytes = bytes_of(data, size);
    struct buffer text = {0}, body = {0};
    struct witness witness;

    if (witness_read(&witness, bytes)) {
        witness_write(&text, &witness);
        assert(bytes_equal(buffer_bytes(&text), bytes));
    }
    if (size > 0)
        fleet_piece_decode(&body, bytes_after(bytes, 1), (uint64_t)data[0] * 7);
    read_answer(bytes);
    read_log(bytes);
    buffer_fini(&text);
    buffer_fini(&body);
    return 0;
}
