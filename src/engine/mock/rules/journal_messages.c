#include "journal_messages.h"
#include "fake_data.h"
#include "template.h"
#include <openssl/evp.h>
#include <stdlib.h>

size_t journal_messages_add(struct journal_messages *messages, int64_t wall_ms,
                            enum journal_message_kind kind, int code, struct bytes bytes)
{
    struct journal_message *message;
    size_t kept_bytes = bytes.size < JOURNAL_MESSAGE_BYTES_MAX ? bytes.size : JOURNAL_MESSAGE_BYTES_MAX;
    size_t size = sizeof *message + kept_bytes;

    atomic_fetch_add(&messages->count, 1);
    if (messages->kept_count == JOURNAL_MESSAGES_MAX ||
        messages->kept_bytes + size > JOURNAL_MESSAGES_BYTES_MAX)
        return 0;
    message = malloc(size);
    if (message == NULL)
        return 0;
    *message = (struct journal_message){.older = atomic_load(&messages->newest),
                                        .wall_ms = wall_ms,
                                        .kind = kind,
                                        .code = code,
                                        .size = bytes.size,
                                        .kept_bytes = kept_bytes};
    if (kept_bytes > 0)
        memcpy(message->data, bytes.data, kept_bytes);
    atomic_store(&messages->newest, message);
    messages->kept_count++;
    messages->kept_bytes += size;
    return size;
}

void journal_messages_fini(struct journal_messages *messages)
{
    struct journal_message *message = atomic_load(&messages->newest);

    while (message != NULL) {
        struct journal_message *older = message->older;
        free(message);
        message = older;
    }
}

static void append_base64(struct buffer *out, struct bytes bytes)
{
    char *end =
        buffer_reserve(out, (bytes.size + 2) / 3 * 4 + 1); /* and the terminator that OpenSSL writes */

    if (end != NULL)
        buffer_commit(out, (size_t)EVP_EncodeBlock((unsigned char *)end, (const unsigned char *)bytes.data,
                                                   (int)bytes.size));
}

static void append_message(const struct journal_message *message, struct buffer *out)
{
    struct bytes bytes = bytes_of(message->data, message->kept_bytes);

    buffer_append_literal(out, "{\"at\":\"");
    moment_append(out, message->wall_ms);
    switch (message->kind) {
    case JOURNAL_TEXT: buffer_append_literal(out, "\",\"text\":\""); break;
    case JOURNAL_BINARY: buffer_append_literal(out, "\",\"binary\":\""); break;
    case JOURNAL_CLOSE:
        buffer_append_literal(out, "\",\"close\":");
        if (message->code > 0)
            buffer_append_int64(out, message->code);
        else
            buffer_append_literal(out, "null");
        buffer_append_literal(out, ",\"reason\":\"");
        break;
    }
    if (message->kind == JOURNAL_BINARY)
        append_base64(out, bytes);
    else
        template_append_json_text(out, bytes);
    buffer_append_format(out, "\",\"bytes\":%zu}", message->size);
}

void journal_messages_append(const struct journal_messages *messages, struct buffer *out)
{
    const struct journal_message *list[JOURNAL_MESSAGES_MAX];
    size_t count = 0;

    for (const struct journal_message *message = atomic_load(&messages->newest); message != NULL;
         message = message->older)
        list[count++] = message;
    buffer_append_format(out, "\"message_count\":%llu,\"messages\":[",
                         (unsigned long long)atomic_load(&messages->count));
    while (count > 0) {
        append_message(list[--count], out);
        if (count > 0)
            buffer_append_byte(out, ',');
    }
    buffer_append_byte(out, ']');
}
