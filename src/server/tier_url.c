#include "server/tier_url.h"
#include "base/compiler.h"
#include "base/number.h"
#include "message/percent.h"
#include "server/shown_text.h"
#include "server/text_list.h"
#include <arpa/inet.h>
#include <stdlib.h>

enum { DEFAULT_PORT = 6379 };

static const char example[] = "write one like valkey://10.0.0.1:6379,10.0.0.2:6379";

static const struct {
    struct bytes before;
    bool has_tls;
} schemes[] = {
    {BYTES_INIT("valkey://"), false},
    {BYTES_INIT("redis://"), false},
    {BYTES_INIT("valkeys://"), true},
    {BYTES_INIT("rediss://"), true},
};

/* ---- the parts ----------------------------------------------------------------------------------- */

struct parts {
    bool has_tls, has_credentials;
    struct bytes user, password, hosts, rest; /* `rest`: from the first / ? or # on */
};

static size_t offset_of_any(struct bytes text, const char *bytes)
{
    size_t i = 0;

    while (i < text.size && strchr(bytes, text.data[i]) == NULL)
        i++;
    return i;
}

/* False if it begins with no scheme. */
static bool divide(struct bytes text, struct parts *parts)
{
    const char *at, *colon;

    *parts = (struct parts){0};
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        if (!bytes_start_with(text, schemes[i].before))
            continue;
        parts->has_tls = schemes[i].has_tls;
        parts->hosts = bytes_after(text, schemes[i].before.size);
        at = parts->hosts.size > 0 ? memrchr(parts->hosts.data, '@', parts->hosts.size) : NULL;
        if (at != NULL) {
            parts->has_credentials = true;
            parts->user = bytes_first(parts->hosts, (size_t)(at - parts->hosts.data));
            parts->hosts = bytes_after(parts->hosts, parts->user.size + 1);
            colon = parts->user.size > 0 ? memchr(parts->user.data, ':', parts->user.size) : NULL;
            if (colon != NULL) {
                size_t size = (size_t)(colon - parts->user.data);
                parts->password = bytes_after(parts->user, size + 1);
                parts->user = bytes_first(parts->user, size);
            }
        }
        parts->rest = bytes_after(parts->hosts, offset_of_any(parts->hosts, "/?#"));
        parts->hosts = bytes_first(parts->hosts, parts->hosts.size - parts->rest.size);
        return true;
    }
    return false;
}

struct bytes tier_url_password(struct bytes text)
{
    struct parts parts;

    return divide(text, &parts) ? parts.password : (struct bytes){0};
}

/* ---- credentials --------------------------------------------------------------------------------- */

static enum err decode(struct bytes text, char **decoded, struct buffer *why)
{
    struct buffer out = {0};
    enum err err = OK;

    if (text.size == 0)
        return OK;
    for (size_t i = 0; i < text.size && err == OK;) {
        char byte;
        if (percent_take(text, &i, &byte) && byte != '\0')
            buffer_append_byte(&out, byte);
        else
            err = ERR_SYNTAX;
    }
    if (err == ERR_SYNTAX)
        buffer_append_literal(why, "a % in the user or the password is not followed by two hexadecimal "
                                   "digits; write %25 for one that is meant");
    else if (out.failed || (*decoded = text_copy(buffer_bytes(&out))) == NULL)
        err = ERR_NO_MEMORY;
    if (out.data != NULL)
        explicit_bzero(out.data, out.size);
    buffer_fini(&out);
    return err;
}

/* ---- hosts --------------------------------------------------------------------------------------- */

static bool is_name(struct bytes host)
{
    for (size_t i = 0; i < host.size; i++) {
        char c = host.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
              c == '.' || c == '_'))
            return false;
    }
    return host.size > 0 && host.size <= VALKEY_HOST_BYTES_MAX;
}

static bool is_v6(const char *host)
{
    struct in6_addr ignored;

    return inet_pton(AF_INET6, host, &ignored) == 1;
}

/* Takes one of the hosts, which is text of ours with a 0 behind it: that is cut where its name ends. Null
 * if it is one, else what is wrong. */
static const char *take_host(char *text, struct valkey_seed *seed)
{
    char *colon = strrchr(text, ':'), *bracket = strchr(text, ']');
    uint64_t port = DEFAULT_PORT;

    if (text[0] == '[') {
        if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':'))
            return "has a [ without its ]";
        colon = bracket[1] == ':' ? bracket + 1 : NULL;
        *bracket = '\0';
        text++;
        if (!is_v6(text))
            return "is no IPv6 address in its brackets";
    } else if (colon != NULL && strchr(text, ':') != colon) {
        return "has several colons; an IPv6 address stands in brackets, as in [::1]:6379";
    }
    if (colon != NULL) {
        if (!uint64_parse(bytes_of_text(colon + 1), &port) || port < 1 || port > UINT16_MAX)
            return "has no port from 1 to 65535 behind its colon";
        *colon = '\0';
    }
    if (!is_v6(text) && !is_name(bytes_of_text(text)))
        return "is no name and no address of a host";
    *seed = (struct valkey_seed){.host = text, .port = (uint16_t)port};
    return NULL;
}

static enum err take_hosts(struct bytes hosts, struct tier_url *url, struct buffer *why)
{
    char *rest;

    if (hosts.size == 0) {
        buffer_append_format(why, "it names no host; %s", example);
        return ERR_SYNTAX;
    }
    url->hosts = rest = text_copy(hosts);
    if (rest == NULL)
        return ERR_NO_MEMORY;
    while (rest != NULL) {
        char *host = strsep(&rest, ",");
        struct shown shown = shown_text(bytes_of_text(host));
        const char *wrong;

        if (url->seed_count == VALKEY_SEEDS_MAX) {
            buffer_append_format(why,
                                 "it names more than %d hosts; a few are enough, the cluster names the "
                                 "others",
                                 VALKEY_SEEDS_MAX);
            return ERR_SYNTAX;
        }
        wrong = take_host(host, &url->seeds[url->seed_count]);
        if (wrong != NULL) {
            buffer_append_format(why, "\"%s\" %s; %s", shown.text, wrong, example);
            return ERR_SYNTAX;
        }
        url->seed_count++;
    }
    return OK;
}

/* ---- the whole ----------------------------------------------------------------------------------- */

static enum err check_rest(struct bytes rest, struct buffer *why)
{
    if (rest.size == 0 || bytes_equal(rest, BYTES("/")) || bytes_equal(rest, BYTES("/0")))
        return OK;
    if (rest.data[0] == '/')
        buffer_append_literal(why, "the tier's database is 0, as of any cluster; leave out what is behind "
                                   "the hosts (a / in a password is written %2F)");
    else
        buffer_append_literal(why, "there is a ? or a # behind the hosts; leave it out (in a password they "
                                   "are written %3F and %23)");
    return ERR_SYNTAX;
}

enum err tier_url_parse(struct bytes text, struct tier_url *url, struct buffer *why)
{
    struct parts parts;
    enum err err;

    *url = (struct tier_url){0};
    if (!divide(text, &parts)) {
        buffer_append_format(why,
                             "it begins with neither valkey:// nor valkeys:// (redis:// and rediss:// "
                             "are the same); %s",
                             example);
        return ERR_SYNTAX;
    }
    url->has_tls = parts.has_tls;
    err = check_rest(parts.rest, why);
    if (err == OK)
        err = take_hosts(parts.hosts, url, why);
    if (err == OK)
        err = decode(parts.user, &url->user, why);
    if (err == OK)
        err = decode(parts.password, &url->password, why);
    if (err != OK)
        tier_url_fini(url);
    return err;
}

void tier_url_fini(struct tier_url *url)
{
    if (url->password != NULL)
        explicit_bzero(url->password, strlen(url->password));
    free(url->password);
    free(url->user);
    free(url->hosts);
    *url = (struct tier_url){0};
}
