#include "event.h"
#include "base/number.h"
#include <stdlib.h>

/* ---- ids ----------------------------------------------------------------------------------------- */

size_t event_id_format(char text[EVENT_ID_TEXT_BYTES], struct event_id id)
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < 16; i++)
        text[i] = digits[id.epoch >> (60 - 4 * i) & 15];
    text[16] = '-';
    return 17 + uint64_format(text + 17, id.number);
}

bool event_id_parse(struct bytes text, struct event_id *id)
{
    uint64_t epoch = 0;

    if (text.size < 18 || text.data[16] != '-')
        return false;
    for (size_t i = 0; i < 16; i++) {
        char c = text.data[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit > 15)
            return false;
        epoch = epoch << 4 | digit;
    }
    if (!uint64_parse(bytes_after(text, 17), &id->number))
        return false;
    id->epoch = epoch;
    return true;
}

/* ---- encoding ------------------------------------------------------------------------------------ */

/* Between the values of JSON a line's end means nothing, and within them there is none. */
static void append_json(struct buffer *out, struct bytes text)
{
    buffer_append_literal(out, "data: ");
    for (size_t i = 0; i < text.size;) {
        size_t run = i;
        while (run < text.size && text.data[run] != '\n' && text.data[run] != '\r')
            run++;
        buffer_append(out, bytes_of(text.data + i, run - i));
        i = run + (run < text.size);
    }
    buffer_append_literal(out, "\n");
}

/* WHATWG HTML §9.2.5: CRLF, LF and CR each end a line. */
static void append_lines(struct buffer *out, struct bytes text)
{
    do {
        size_t end = 0;
        while (end < text.size && text.data[end] != '\n' && text.data[end] != '\r')
            end++;
        buffer_append_literal(out, "data: ");
        buffer_append(out, bytes_first(text, end));
        buffer_append_literal(out, "\n");
        if (end == text.size)
            return;
        text = bytes_after(
            text, end + 1 + (text.data[end] == '\r' && end + 1 < text.size && text.data[end + 1] == '\n'));
    } while (true);
}

struct event *event_create(enum event_kind kind, struct event_id id, struct bytes text, bool is_json)
{
    char id_text[EVENT_ID_TEXT_BYTES];
    struct buffer out = {0};
    struct event *event = NULL;
    size_t data_offset;

    switch (kind) {
    case EVENT_STATE: break;
    case EVENT_PATCH: buffer_append_literal(&out, "event: patch\n"); break;
    case EVENT_PROBLEM: buffer_append_literal(&out, "event: problem\n"); break;
    }
    if (kind != EVENT_PROBLEM) {
        buffer_append_literal(&out, "id: ");
        buffer_append(&out, bytes_of(id_text, event_id_format(id_text, id)));
        buffer_append_literal(&out, "\n");
    }
    data_offset = out.size;
    (is_json ? append_json : append_lines)(&out, text);
    buffer_append_literal(&out, "\n");
    if (!out.failed)
        event = event_of(buffer_bytes(&out));
    if (event != NULL) {
        event->kind = kind;
        event->is_json = is_json;
        event->id = id;
        event->data_offset = data_offset;
    }
    buffer_fini(&out);
    return event;
}

struct event *event_of(struct bytes bytes)
{
    struct event *event = malloc(sizeof *event + bytes.size);

    if (event == NULL)
        return NULL;
    *event = (struct event){.size = bytes.size};
    atomic_init(&event->reference_count, 1);
    if (bytes.data != NULL)
        memcpy(event->data, bytes.data, bytes.size);
    return event;
}

struct event *event_hold(struct event *event)
{
    atomic_fetch_add_explicit(&event->reference_count, 1, memory_order_relaxed);
    return event;
}

void event_release(struct event *event)
{
    if (event == NULL || atomic_fetch_sub_explicit(&event->reference_count, 1, memory_order_acq_rel) != 1)
        return;
    if (event->frame != NULL) /* which has none itself */
        event_release(event->frame);
    free(event);
}

/* ---- lending ------------------------------------------------------------------------------------- */

struct event_loan {
    struct loan loan;
    struct event *event;
};

static struct bytes piece(const struct loan *loan, uint64_t offset)
{
    return bytes_after(event_bytes(((const struct event_loan *)(const void *)loan)->event), (size_t)offset);
}

static void release(struct loan *loan)
{
    struct event_loan *lent = (struct event_loan *)(void *)loan;

    event_release(lent->event);
    free(lent);
}

struct loan *event_loan(struct event *event)
{
    struct event_loan *lent = malloc(sizeof *lent);

    if (lent == NULL)
        return NULL;
    *lent =
        (struct event_loan){{.size = event->size, .piece = piece, .release = release}, event_hold(event)};
    return &lent->loan;
}
