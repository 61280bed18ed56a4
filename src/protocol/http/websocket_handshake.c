#include "websocket_handshake.h"
#include "base/compiler.h"
#include <openssl/evp.h>

enum { KEY_BYTES = 24, SHA1_BYTES = 20 };

/* The only field of that name, null if there is none; `*is_repeated` if there are more. */
static const struct http_field *find_single(const struct http_fields *fields, struct bytes name,
                                            bool *is_repeated)
{
    const struct http_field *found = NULL;

    for (size_t i = 0; i < fields->count; i++) {
        if (!bytes_equal_nocase(fields->list[i].name, name))
            continue;
        *is_repeated |= found != NULL;
        found = &fields->list[i];
    }
    return found;
}

static bool asks_for_websocket(const struct http_request *request)
{
    if (request->minor_version == 0 || !http_connection_names(&request->fields, BYTES("Upgrade")))
        return false;
    for (size_t i = 0; i < request->fields.count; i++) {
        struct bytes list = request->fields.list[i].value, protocol;
        if (request->fields.list[i].header != HTTP_HEADER_UPGRADE)
            continue;
        while (http_list_next(&list, &protocol))
            if (bytes_equal_nocase(protocol, BYTES("websocket")))
                return true;
    }
    return false;
}

/* 16 bytes in base64 (§4.1). */
static bool is_key(struct bytes key)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    if (key.size != KEY_BYTES || !bytes_equal(bytes_after(key, KEY_BYTES - 2), BYTES("==")))
        return false;
    for (size_t i = 0; i < KEY_BYTES - 2; i++)
        if (memchr(letters, key.data[i], sizeof letters - 1) == NULL)
            return false;
    return true;
}

/* §4.2.2, 5.4: that the key was understood. */
static bool accept_key(struct bytes key, char accept[static WEBSOCKET_ACCEPT_BYTES])
{
    static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[KEY_BYTES + sizeof suffix - 1];
    unsigned char digest[EVP_MAX_MD_SIZE], encoded[WEBSOCKET_ACCEPT_BYTES + 1];
    unsigned digest_bytes = 0;

    memcpy(text, key.data, KEY_BYTES);
    memcpy(text + KEY_BYTES, suffix, sizeof suffix - 1);
    if (EVP_Digest(text, sizeof text, digest, &digest_bytes, EVP_sha1(), NULL) != 1 ||
        digest_bytes != SHA1_BYTES)
        return false;
    EVP_EncodeBlock(encoded, digest, SHA1_BYTES);
    memcpy(accept, encoded, WEBSOCKET_ACCEPT_BYTES);
    return true;
}

static struct bytes choose_protocol(const struct http_fields *fields, const struct bytes *protocols,
                                    size_t protocol_count)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct bytes list = fields->list[i].value, offered;
        if (!bytes_equal_nocase(fields->list[i].name, BYTES("Sec-WebSocket-Protocol")))
            continue;
        while (http_list_next(&list, &offered))
            for (size_t j = 0; j < protocol_count; j++)
                if (bytes_equal(offered, protocols[j]))
                    return offered;
    }
    return (struct bytes){NULL, 0};
}

struct websocket_handshake websocket_handshake(const struct http_request *request,
                                               const struct bytes *protocols, size_t protocol_count)
{
    struct websocket_handshake handshake = {.status = 101, .says_upgrade = request->scheme.size == 0};
    const struct http_field *version, *key;
    bool is_repeated = false;

#define REFUSE(number, text)                                                                               \
    do {                                                                                                   \
        handshake.status = (number);                                                                       \
        handshake.detail = (text);                                                                         \
        return handshake;                                                                                  \
    } while (0)

    if (request->method != HTTP_METHOD_GET)
        REFUSE(405, "this is a WebSocket: it begins with GET");
    if (!asks_for_websocket(request))
        REFUSE(426, "this is a WebSocket: ask for it with Connection: Upgrade and Upgrade: websocket, in "
                    "HTTP/1.1");
    handshake.says_upgrade = true;
    version = find_single(&request->fields, BYTES("Sec-WebSocket-Version"), &is_repeated);
    if (version == NULL || is_repeated || !bytes_equal(version->value, BYTES("13")))
        REFUSE(426, "Sec-WebSocket-Version must be 13");
    key = find_single(&request->fields, BYTES("Sec-WebSocket-Key"), &is_repeated);
    if (key == NULL || is_repeated || !is_key(key->value))
        REFUSE(400, "Sec-WebSocket-Key must be 16 bytes in base64, once");
    if (request->body_bytes != HTTP_BODY_NONE)
        REFUSE(400, "a request for WebSocket has no body");
    if (!accept_key(key->value, handshake.accept))
        REFUSE(503, "the key could not be answered");
#undef REFUSE
    handshake.protocol = choose_protocol(&request->fields, protocols, protocol_count);
    return handshake;
}

void websocket_handshake_render(const struct websocket_handshake *handshake, struct buffer *lines)
{
    if (handshake->status == 405)
        buffer_append_literal(lines, "Allow: GET\r\n");
    if (handshake->status == 426)
        buffer_append_literal(lines, "Sec-WebSocket-Version: 13\r\n");
    if (handshake->status == 101 || (handshake->status == 426 && handshake->says_upgrade))
        buffer_append_literal(lines, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    if (handshake->status != 101)
        return;
    buffer_append_literal(lines, "Sec-WebSocket-Accept: ");
    buffer_append(lines, bytes_of(handshake->accept, sizeof handshake->accept));
    buffer_append_literal(lines, "\r\n");
    if (handshake->protocol.size > 0) {
        buffer_append_literal(lines, "Sec-WebSocket-Protocol: ");
        buffer_append(lines, handshake->protocol);
        buffer_append_literal(lines, "\r\n");
    }
}
