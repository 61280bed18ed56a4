/* links: nuthatch-http nuthatch-message nuthatch-base */
/* Frames give the same messages, the same answers and the same end however they are split, and no more is
 * kept than the limits allow. */
#undef NDEBUG /* the assertions are the test */
#include "base/buffer.h"
#include "base/compiler.h"
#include "protocol/http/websocket.h"
#include <assert.h>
#include <stdlib.h>

static const struct websocket_limits limits = {
    .message_bytes_max = 300, .output_bytes_max = 400, .ping_ms = 10, .pong_ms = 10, .close_ms = 10};

struct played {
    struct buffer came, sent;
    bool is_open, is_lost;
};

static void on_message(void *owner, enum websocket_kind kind, struct bytes bytes)
{
    struct played *played = owner;

    assert(bytes.size <= limits.message_bytes_max);
    buffer_append_format(&played->came, "[%d:%zu:", (int)kind, bytes.size);
    buffer_append(&played->came, bytes);
}

static void on_closed(void *owner, int code, struct bytes reason)
{
    struct played *played = owner;

    assert(code == WEBSOCKET_NO_CODE || websocket_may_say(code));
    buffer_append_format(&played->came, "[close:%d:", code);
    buffer_append(&played->came, reason);
}

static struct played play(struct bytes wire, size_t step)
{
    static const struct websocket_callbacks callbacks = {on_message, on_closed};
    struct played played = {.is_open = false};
    struct websocket *websocket = websocket_create(&limits, &callbacks, &played, 1);

    assert(websocket != NULL);
    while (wire.size > 0) {
        size_t size = wire.size < step ? wire.size : step;
        websocket_receive(websocket, bytes_first(wire, size), 1);
        assert(websocket_output(websocket).size <= limits.output_bytes_max + 300);
        wire = bytes_after(wire, size);
    }
    buffer_append(&played.sent, websocket_output(websocket));
    websocket_note_sent(websocket, played.sent.size, 1);
    played.is_open = websocket_is_open(websocket);
    played.is_lost = websocket_is_lost(websocket);
    assert(played.is_open || played.sent.size > 0); /* nobody is left without a word */
    websocket_destroy(websocket);
    return played;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = {1, 2, 7, 100};
    struct bytes wire = bytes_of(data, size);
    struct played whole = play(wire, size + 1);

    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct played split = play(wire, steps[i]);
        assert(bytes_equal(buffer_bytes(&split.came), buffer_bytes(&whole.came)));
        assert(bytes_equal(buffer_bytes(&split.sent), buffer_bytes(&whole.sent)));
        assert(split.is_open == whole.is_open && split.is_lost == whole.is_lost);
        buffer_fini(&split.came);
        buffer_fini(&split.sent);
    }
    buffer_fini(&whole.came);
    buffer_fini(&whole.sent);
    return 0;
}
