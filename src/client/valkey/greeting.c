#include "client/valkey/greeting.h"

enum { WORDS_MAX = 8 };

void greeting_begin(struct greeting *greeting, const struct valkey_options *options)
{
    *greeting =
        (struct greeting){.options = options, .resp_version = options->resp == VALKEY_RESP_2 ? 2 : 3};
}

static void say(struct greeting *greeting, struct buffer *output, const struct bytes *words, size_t count)
{
    resp_render_command(output, words, count);
    greeting->left_count++;
}

static void say_hello(struct greeting *greeting, struct buffer *output)
{
    const struct valkey_options *options = greeting->options;
    struct bytes words[WORDS_MAX];
    size_t count = 0;

    words[count++] = BYTES("HELLO");
    words[count++] = BYTES("3");
    if (options->password != NULL) {
        words[count++] = BYTES("AUTH");
        words[count++] = options->user != NULL ? bytes_of_text(options->user) : BYTES("default");
        words[count++] = bytes_of_text(options->password);
    }
    if (options->client_name != NULL) {
        words[count++] = BYTES("SETNAME");
        words[count++] = bytes_of_text(options->client_name);
    }
    say(greeting, output, words, count);
}

static void say_it_in_resp2(struct greeting *greeting, struct buffer *output)
{
    const struct valkey_options *options = greeting->options;
    struct bytes words[WORDS_MAX];
    size_t count = 0;

    if (options->password != NULL) { /* before 6.0 there are no users, and a second argument is an error */
        words[count++] = BYTES("AUTH");
        if (options->user != NULL)
            words[count++] = bytes_of_text(options->user);
        words[count++] = bytes_of_text(options->password);
        say(greeting, output, words, count);
    }
    greeting->names_itself = options->client_name != NULL;
    if (greeting->names_itself)
        say(greeting, output,
            (struct bytes[]){BYTES("CLIENT"), BYTES("SETNAME"), bytes_of_text(options->client_name)}, 3);
    say(greeting, output, (struct bytes[]){BYTES("PING")}, 1);
}

void greeting_say(struct greeting *greeting, struct buffer *output)
{
    greeting->left_count = 0;
    if (greeting->resp_version == 3)
        say_hello(greeting, output);
    else
        say_it_in_resp2(greeting, output);
}

static bool is_about_rights(const struct resp_node *reply)
{
    return resp_is_error(reply, BYTES("NOAUTH")) || resp_is_error(reply, BYTES("WRONGPASS")) ||
           resp_is_error(reply, BYTES("NOPERM")) ||
           bytes_start_with(reply->bytes, BYTES("ERR invalid password")) || /* before 6.0 */
           bytes_start_with(reply->bytes, BYTES("ERR AUTH"));
}

/* A server older than RESP3, a proxy that does not know HELLO, or a user who may not call it. */
static bool wants_resp2(const struct resp_node *reply)
{
    return resp_is_error(reply, BYTES("NOPROTO")) || resp_is_error(reply, BYTES("NOPERM")) ||
           bytes_start_with(reply->bytes, BYTES("ERR unknown")) ||
           bytes_start_with(reply->bytes, BYTES("ERR syntax")) ||
           bytes_start_with(reply->bytes, BYTES("ERR unsupported"));
}

static enum greeting_heard hear_hello(struct greeting *greeting, const struct resp_node *reply,
                                      enum err *why)
{
    if (reply->type == RESP_MAP)
        return GREETING_DONE;
    if (reply->type != RESP_ERROR) {
        *why = ERR_SYNTAX;
        return GREETING_REFUSED;
    }
    if (wants_resp2(reply)) {
        greeting->resp_version = 2;
        if (greeting->options->resp != VALKEY_RESP_3)
            return GREETING_SPEAKS;
        *why = ERR_UNSUPPORTED;
        return GREETING_REFUSED;
    }
    *why = is_about_rights(reply) ? ERR_FORBIDDEN : ERR_REFUSED;
    return GREETING_REFUSED;
}

/* The name is a comfort, and these answers to a PING are about the server's state or what a user may ask.
 * Not "max number of clients reached" and "running in protected mode", which are no answers at all. */
static bool is_harmless(const struct greeting *greeting, const struct resp_node *error)
{
    if (greeting->left_count == 1)
        return greeting->names_itself;
    return greeting->left_count == 0 &&
           (resp_is_error(error, BYTES("LOADING")) || resp_is_error(error, BYTES("MASTERDOWN")) ||
            resp_is_error(error, BYTES("BUSY")) || resp_is_error(error, BYTES("NOPERM")));
}

enum greeting_heard greeting_hear(struct greeting *greeting, const struct resp_node *reply, enum err *why)
{
    greeting->left_count--;
    if (greeting->resp_version == 3)
        return hear_hello(greeting, reply, why);
    if (reply->type != RESP_ERROR && reply->type != RESP_SIMPLE) {
        *why = ERR_SYNTAX;
        return GREETING_REFUSED;
    }
    if (reply->type == RESP_ERROR && !is_harmless(greeting, reply)) {
        *why = is_about_rights(reply) ? ERR_FORBIDDEN : ERR_REFUSED;
        return GREETING_REFUSED;
    }
    return greeting->left_count > 0 ? GREETING_GOES_ON : GREETING_DONE;
}
