#include "server/listen_option.h"
#include "base/compiler.h"
#include "base/number.h"
#include "server/option_read.h"
#include "server/options.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { UNIX_PATH_BYTES_MAX = 107 };

/* ---- from text --------------------------------------------------------------------------------- */

/* "HOST:PORT" or "[v6]:PORT"; whether the host exists is for whoever opens the socket. */
static bool is_address(struct bytes text)
{
    struct bytes host, port;
    const char *colon = text.size > 0 ? memrchr(text.data, ':', text.size) : NULL;
    uint64_t number;

    if (colon == NULL)
        return false;
    host = bytes_first(text, (size_t)(colon - text.data));
    port = bytes_after(text, host.size + 1);
    if (!uint64_parse(port, &number) || number > UINT16_MAX)
        return false;
    if (host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']') {
        char inside[INET6_ADDRSTRLEN];
        struct in6_addr ignored;
        if (host.size - 2 >= sizeof inside)
            return false;
        memcpy(inside, host.data + 1, host.size - 2);
        inside[host.size - 2] = '\0';
        return inet_pton(AF_INET6, inside, &ignored) == 1;
    }
    for (size_t i = 0; i < host.size; i++) {
        char c = byte_to_lower(host.data[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_'))
            return false;
    }
    return host.size > 0 && host.size <= 253;
}

/* Splits "/run/cache.sock?mode=0660"; `*mode` is -1 if none is written. What is wrong, or null. */
static const char *split_path(struct bytes text, struct bytes *path, int *mode)
{
    const char *question = text.size > 0 ? memchr(text.data, '?', text.size) : NULL;
    struct bytes rest;

    *path = question != NULL ? bytes_first(text, (size_t)(question - text.data)) : text;
    *mode = -1;
    if (path->size < 2 || path->data[0] != '/' || memchr(path->data, '\0', path->size) != NULL)
        return "does not end in an absolute path, as in unix:///run/nuthatch.sock";
    if (path->size > UNIX_PATH_BYTES_MAX)
        return "is longer than the path of a Unix socket may be, 107 bytes";
    if (question == NULL)
        return NULL;
    rest = bytes_after(text, path->size + 1);
    if (!bytes_start_with(rest, BYTES("mode=")) || rest.size < 5 + 3 || rest.size > 5 + 4)
        return "has something else than ?mode=0660 behind its path";
    *mode = 0;
    for (size_t i = 5; i < rest.size; i++) {
        if (rest.data[i] < '0' || rest.data[i] > '7')
            return "has a mode that is no octal number from 000 to 777";
        *mode = *mode * 8 + (rest.data[i] - '0');
    }
    return *mode <= 0777 ? NULL : "has a mode that is no octal number from 000 to 777";
}

/* Without a role it is the administrator's API that listens. */
static unsigned takers_of(const struct role_options *role)
{
    return role != NULL ? 1u << role->role : ROLES_ADMIN;
}

static enum err refuse_listen(const struct role_options *role, struct bytes text, const char *what,
                              struct buffer *why)
{
    buffer_append_format(why, "\"%s\" %s; write one like %s (", shown_text(text).text, what,
                         role != NULL ? role_row(role->role)->listen : "http://127.0.0.1:9190");
    schemes_append(why, takers_of(role));
    buffer_append_literal(why, ")");
    return ERR_SYNTAX;
}

static enum err append_listen(struct listen_list *list, struct listen_option item)
{
    struct listen_option *items;

    if (item.address == NULL)
        return ERR_NO_MEMORY;
    items = reallocarray(list->items, list->count + 1, sizeof *items);
    if (items == NULL) {
        free(item.address);
        return ERR_NO_MEMORY;
    }
    list->items = items;
    list->items[list->count++] = item;
    return OK;
}

enum err option_read_listen(const struct option_text *from, void *field)
{
    const struct role_options *role = from->role;
    struct bytes text = from->text;
    struct buffer *why = from->why;
    const struct scheme *found;
    const char *slashes = text.size > 0 ? memmem(text.data, text.size, "://", 3) : NULL;
    const char *what = NULL;
    struct bytes scheme, address;
    int mode = -1;

    if (slashes == NULL)
        return refuse_listen(role, text, "has no scheme", why);
    scheme = bytes_first(text, (size_t)(slashes - text.data));
    address = bytes_after(text, scheme.size + 3);
    found = scheme_find(scheme);
    if (found == NULL)
        return refuse_listen(role, text, "has an unknown scheme", why);
    if ((found->roles & takers_of(role)) == 0)
        return refuse_listen(role, text, "is not spoken by this role", why);
    if (found->transport == LISTEN_UNIX)
        what = split_path(address, &address, &mode);
    else if (!is_address(address))
        what = "does not end in HOST:PORT, a port from 0 to 65535";
    if (what != NULL)
        return refuse_listen(role, text, what, why);
    return append_listen(field, (struct listen_option){found->protocol, found->transport,
                                                       text_copy(address), mode, from->where});
}

/* ---- lists ------------------------------------------------------------------------------------- */

bool listen_list_equal(const struct listen_list *a, const struct listen_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->items[i].protocol != b->items[i].protocol ||
            a->items[i].transport != b->items[i].transport || a->items[i].mode != b->items[i].mode ||
            strcmp(a->items[i].address, b->items[i].address) != 0)
            return false;
    return true;
}

void listen_list_fini(struct listen_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].address);
    free(list->items);
}

/* ---- addresses --------------------------------------------------------------------------------- */

bool listen_is_same_address(const char *a, const char *b)
{
    const char *texts[] = {a, b};
    char hosts[2][256];
    const char *ports[2];

    if (a[0] == '/' || b[0] == '/') /* a path: one is named by its text */
        return strcmp(a, b) == 0;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct in6_addr parsed;
        size_t size;
        ports[i] = strrchr(texts[i], ':') + 1;
        size = (size_t)(ports[i] - 1 - texts[i]);
        if (texts[i][0] == '[') {
            memcpy(hosts[i], texts[i] + 1, size - 2);
            hosts[i][size - 2] = '\0';
            if (inet_pton(AF_INET6, hosts[i], &parsed) == 1)
                inet_ntop(AF_INET6, &parsed, hosts[i], sizeof hosts[i]);
        } else {
            memcpy(hosts[i], texts[i], size);
            hosts[i][size] = '\0';
            if (strcasecmp(hosts[i], "localhost") == 0)
                memcpy(hosts[i], "127.0.0.1", sizeof "127.0.0.1");
        }
    }
    /* Any number of listeners may ask for any free port. */
    return strcmp(ports[0], "0") != 0 && strcmp(ports[0], ports[1]) == 0 &&
           strcasecmp(hosts[0], hosts[1]) == 0;
}

bool listen_is_beyond_loopback(const char *address)
{
    const char *colon = strrchr(address, ':');
    bool is_bracketed = address[0] == '[';
    struct in6_addr six;
    struct in_addr four;
    char host[256];

    snprintf(host, sizeof host, "%.*s", (int)(colon - address) - 2 * is_bracketed, address + is_bracketed);
    if (is_bracketed)
        return inet_pton(AF_INET6, host, &six) == 1 && !IN6_IS_ADDR_LOOPBACK(&six);
    return inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 != 127;
}
