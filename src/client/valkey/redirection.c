/* redirection.c — "MOVED 3999 127.0.0.1:6381" and its like. */
#include "client/valkey/redirection.h"
#include "base/number.h"
#include "client/valkey/valkey.h"
#include <ctype.h>

bool redirection_read_host(struct bytes text, char host[VALKEY_HOST_BYTES_MAX + 1])
{
    host[0] = '\0';
    if (text.size >= 2 && text.data[0] == '[' && text.data[text.size - 1] == ']')
        text = bytes_of(text.data + 1, text.size - 2);
    if (text.size == 0 || text.size > VALKEY_HOST_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.size; i++) { /* RFC 1123, and what IPv6 addresses with a zone are made of */
        unsigned char c = (unsigned char)text.data[i];
        if (!isalnum(c) && c != '.' && c != '-' && c != '_' && c != ':' && c != '%')
            return false;
    }
    memcpy(host, text.data, text.size);
    host[text.size] = '\0';
    return true;
}

/* Takes what is before the next space from the front of `*text`. */
static struct bytes take_word(struct bytes *text)
{
    const char *space = text->size > 0 ? memchr(text->data, ' ', text->size) : NULL;
    struct bytes word = space != NULL ? bytes_first(*text, (size_t)(space - text->data)) : *text;

    *text = bytes_after(*text, space != NULL ? word.size + 1 : word.size);
    return word;
}

static struct redirection read_place(enum redirection_kind kind, struct bytes rest, const char *asked_host)
{
    struct redirection redirection = {.kind = kind};
    struct bytes slot_text = take_word(&rest), place = take_word(&rest), host;
    const char *colon = place.size > 0 ? memrchr(place.data, ':', place.size) : NULL;
    uint64_t slot, port;

    if (!uint64_parse(slot_text, &slot) || slot >= VALKEY_SLOT_COUNT || colon == NULL)
        goto unreadable;
    host = bytes_first(place, (size_t)(colon - place.data));
    if (!uint64_parse(bytes_after(place, host.size + 1), &port) || port == 0 || port > UINT16_MAX)
        goto unreadable;
    redirection.slot = (uint16_t)slot;
    redirection.address.port = (uint16_t)port;
    if (host.size == 0)
        host = bytes_of_text(asked_host);
    if (!redirection_read_host(host, redirection.address.host) && !bytes_equal(host, BYTES("?")))
        goto unreadable;
    return redirection;

unreadable:
    return (struct redirection){.kind = REDIRECTION_UNREADABLE};
}

struct redirection redirection_read(struct bytes error, const char *asked_host)
{
    static const struct {
        struct bytes word;
        enum redirection_kind kind;
    } rows[] = {
        {BYTES_INIT("MOVED"), REDIRECTION_MOVED},
        {BYTES_INIT("ASK"), REDIRECTION_ASK},
        {BYTES_INIT("TRYAGAIN"), REDIRECTION_TRYAGAIN},
        {BYTES_INIT("CLUSTERDOWN"), REDIRECTION_CLUSTERDOWN},
        {BYTES_INIT("LOADING"), REDIRECTION_LOADING},
        {BYTES_INIT("MASTERDOWN"), REDIRECTION_MASTERDOWN},
        {BYTES_INIT("READONLY"), REDIRECTION_READONLY},
    };
    struct bytes word = take_word(&error);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!bytes_equal(word, rows[i].word))
            continue;
        if (rows[i].kind == REDIRECTION_MOVED || rows[i].kind == REDIRECTION_ASK)
            return read_place(rows[i].kind, error, asked_host);
        return (struct redirection){.kind = rows[i].kind};
    }
    return (struct redirection){.kind = REDIRECTION_NONE};
}
