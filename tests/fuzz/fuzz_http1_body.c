/* links: nuthatch-http nuthatch-message nuthatch-base */
/* A body gives the same bytes, the same end and the same refusal however it is split. The first byte of the
 * input says how many bytes it has; 255 stands for chunked. */
#undef NDEBUG /* the assertions are the test */
#include "base/compiler.h"
#include "protocol/http/http1.h"
#include <assert.h>
#include <stdlib.h>

struct read {
    enum http1_result result;
    size_t consumed;
    struct buffer data;
};

static struct read read_body(int64_t body_bytes, struct bytes wire, size_t step)
{
    struct read read = {.result = HTTP1_MORE};
    struct http1_body body;
    size_t given = 0;

    http1_body_init(&body, body_bytes);
    for (;;) {
        struct bytes input = bytes_of(wire.data + read.consumed, given - read.consumed), data;
        size_t consumed;
        int status = 0;

        read.result = http1_body_read(&body, input, &data, &consumed, &status);
        assert(http1_body_is_done(&body) == (read.result == HTTP1_DONE));
        if (read.result == HTTP1_BAD) {
            assert(status == 400);
            return read;
        }
        assert(consumed <= input.size && data.size <= consumed);
        buffer_append(&read.data, data);
        read.consumed += consumed;
        if (read.result == HTTP1_DONE)
            return read;
        if (consumed > 0)
            continue;
        assert(input.size == 0);
        if (given == wire.size)
            return read;
        given = wire.size - given < step ? wire.size : given + step;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = {1, 2, 5, 31};
    struct read whole;
    struct bytes wire;
    int64_t body_bytes;

    if (size == 0)
        return 0;
    body_bytes = data[0] == 255 ? HTTP_BODY_UNKNOWN : data[0];
    wire = bytes_of(data + 1, size - 1);
    whole = read_body(body_bytes, wire, wire.size + 1);
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct read split = read_body(body_bytes, wire, steps[i]);
        assert(split.result == whole.result && split.consumed == whole.consumed);
        assert(bytes_equal(buffer_bytes(&split.data), buffer_bytes(&whole.data)));
        buffer_fini(&split.data);
    }
    if (whole.result == HTTP1_DONE && body_bytes == HTTP_BODY_UNKNOWN) {
        struct buffer again = {0};
        struct read read;

        if (whole.data.size > 0)
            http1_render_chunk(&again, buffer_bytes(&whole.data));
        http1_render_last_chunk(&again);
        read = read_body(body_bytes, buffer_bytes(&again), again.size);
        assert(read.result == HTTP1_DONE && read.consumed == again.size);
        assert(bytes_equal(buffer_bytes(&read.data), buffer_bytes(&whole.data)));
        buffer_fini(&read.data);
        buffer_fini(&again);
    }
    buffer_fini(&whole.data);
    return 0;
}
