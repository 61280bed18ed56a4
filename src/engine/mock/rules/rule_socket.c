#include "rule_socket.h"
#include "rule_answer.h"
#include "rule_events.h"
#include <openssl/evp.h>
#include <stdlib.h>

enum {
    STEPS_MAX = 10000,
    REPLIES_MAX = 1000,
    CHECKS_MAX = 64,
    PROTOCOLS_MAX = 16,
    MESSAGE_BYTES_MAX = 1 << 20, /* as of a request's body */
    OUTPUT_BYTES_MAX = 1 << 20,
    PING_MS = 30000,
    PONG_MS = 10000,
    CLOSE_MS = 5000,
};

enum { KEY_AFTER, KEY_TEXT, KEY_JSON, KEY_BINARY, KEY_ECHO, KEY_CLOSE, STEP_KEYS };

/* ---- one message ----------------------------------------------------------------------------------- */

static bool read_binary(struct rules_reader *reader, const yaml_node_t *node, struct buffer *binary)
{
    struct bytes text;
    char *decoded;
    int size = -1;

    if (!rules_read_text(reader, node, "binary", &text))
        return false;
    decoded = buffer_reserve(binary, text.size / 4 * 3 + 1);
    if (decoded == NULL) {
        reader->no_memory = true;
        return false;
    }
    if (text.size % 4 == 0)
        size = EVP_DecodeBlock((unsigned char *)decoded, (const unsigned char *)text.data, (int)text.size);
    if (size != (int)(text.size / 4 * 3)) {
        rules_report(reader, node, "binary is base64, such as \"AQID\"");
        return false;
    }
    for (size_t i = text.size; i > 0 && text.data[i - 1] == '='; i--)
        size--;
    buffer_commit(binary, (size_t)size);
    return true;
}

static bool read_close_code(struct rules_reader *reader, const yaml_node_t *node, int *close_code)
{
    int64_t code = 0;

    if (!rules_read_integer(reader, node, "close", 1000, 4999, &code))
        return false;
    *close_code = (int)code;
    if (websocket_may_say(code))
        return true;
    rules_report(reader, node,
                 "close: %d is no code that an endpoint may say; 1000 to 1003, 1007 to 1014 and "
                 "3000 to 4999 are",
                 (int)code);
    return false;
}

static bool read_close(struct rules_reader *reader, yaml_node_t *node, const struct template_scope *scope,
                       struct socket_step *step)
{
    struct rules_key keys[] = {{"code", NULL}, {"reason", NULL}};
    struct bytes reason;

    if (rules_is_scalar(node))
        return read_close_code(reader, node, &step->close_code);
    if (!rules_read_keys(reader, node, "close", keys, COUNT_OF(keys)))
        return false;
    if (keys[0].value == NULL) {
        rules_report(reader, node, "close is a code, such as 1000, or {code: 4000, reason: enough}");
        return false;
    }
    return read_close_code(reader, keys[0].value, &step->close_code) &&
           (keys[1].value == NULL ||
            (rules_read_text(reader, keys[1].value, "reason", &reason) &&
             rule_template_add(reader, keys[1].value, scope, reason, TEMPLATE_TEXT, &step->text)));
}

static bool read_echo(struct rules_reader *reader, const yaml_node_t *node,
                      const struct template_scope *scope)
{
    bool echoes = false;

    if (!rules_read_answer(reader, node, "echo", &echoes))
        return false;
    if (echoes && scope->has_message)
        return true;
    rules_report(reader, node, "echo is true, and only in replies");
    return false;
}

static bool read_step(struct rules_reader *reader, yaml_node_t *node, const struct template_scope *scope,
                      struct socket_step *step)
{
    struct rules_key keys[STEP_KEYS] = {
        [KEY_AFTER] = {"after", NULL},   [KEY_TEXT] = {"text", NULL}, [KEY_JSON] = {"json", NULL},
        [KEY_BINARY] = {"binary", NULL}, [KEY_ECHO] = {"echo", NULL}, [KEY_CLOSE] = {"close", NULL}};
    yaml_node_t *said = NULL;
    int kind = KEY_AFTER;
    size_t said_count = 0;
    struct bytes text;

    if (!rules_read_keys(reader, node, "a message", keys, COUNT_OF(keys)))
        return false;
    for (int i = KEY_TEXT; i < STEP_KEYS; i++)
        if (keys[i].value != NULL) {
            said = keys[i].value;
            kind = i;
            said_count++;
        }
    if (said_count != 1) {
        rules_report(reader, node, "a message has text, json, binary, %sor close, one of them",
                     scope->has_message ? "echo " : "");
        return false;
    }
    if (keys[KEY_AFTER].value != NULL &&
        !rules_read_duration(reader, keys[KEY_AFTER].value, "after", &step->after_ms))
        return false;
    switch (kind) {
    case KEY_TEXT:
        return rules_read_text(reader, said, "text", &text) &&
               rule_template_add(reader, said, scope, text, TEMPLATE_TEXT, &step->text);
    case KEY_JSON: return rule_template_add_json(reader, said, scope, &step->text);
    case KEY_BINARY: step->kind = SOCKET_STEP_BINARY; return read_binary(reader, said, &step->binary);
    case KEY_ECHO: step->kind = SOCKET_STEP_ECHO; return read_echo(reader, said, scope);
    default: step->kind = SOCKET_STEP_CLOSE; return read_close(reader, said, scope, step);
    }
}

/* ---- several --------------------------------------------------------------------------------------- */

/* Room for `count` things of `size` bytes; null with no_memory. */
static void *make_list(struct rules_reader *reader, size_t count, size_t size)
{
    void *list = calloc(count, size);

    reader->no_memory |= list == NULL;
    return list;
}

static bool read_script(struct rules_reader *reader, yaml_node_t *node, const char *what,
                        const struct template_scope *scope, bool cycles, struct socket_script *script)
{
    size_t count = rules_item_count(node);
    int64_t sum_ms = 0;
    bool is_good = true;

    if (count == 0 || count > STEPS_MAX) {
        rules_report(reader, node, "%s is a message, or a list of 1 to %d", what, STEPS_MAX);
        return false;
    }
    script->steps = make_list(reader, count, sizeof *script->steps);
    if (script->steps == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct socket_step *step = &script->steps[script->count++];
        yaml_node_t *item = rules_item(reader, node, i);
        is_good &= read_step(reader, item, scope, step);
        sum_ms += step->after_ms;
        if (step->kind == SOCKET_STEP_CLOSE && (i + 1 < count || cycles)) {
            rules_report(reader, item, "a close is the last message, and nothing begins again after it");
            is_good = false;
        }
    }
    if (cycles && sum_ms < EVENTS_CYCLE_MS_LEAST) {
        rules_report(reader, node, "messages that begin again take time: give one of them `after: 1s`");
        return false;
    }
    return is_good;
}

static bool read_match(struct rules_reader *reader, yaml_node_t *node, struct socket_reply *reply)
{
    size_t count = rules_item_count(node);
    bool is_good = true;

    if (count == 0 || count > CHECKS_MAX) {
        rules_report(reader, node, "match is a demand on the message, or a list of 1 to %d", CHECKS_MAX);
        return false;
    }
    reply->checks = make_list(reader, count, sizeof *reply->checks);
    if (reply->checks == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        is_good &= body_check_read(reader, rules_item(reader, node, i), "match",
                                   &reply->checks[reply->check_count++]);
    return is_good;
}

static bool read_reply(struct rules_reader *reader, yaml_node_t *node, const struct template_scope *scope,
                       struct socket_reply *reply)
{
    struct rules_key keys[] = {{"match", NULL}, {"send", NULL}};
    bool is_good;

    if (!rules_read_keys(reader, node, "a reply", keys, COUNT_OF(keys)))
        return false;
    is_good = keys[0].value == NULL || read_match(reader, keys[0].value, reply);
    if (keys[1].value == NULL) {
        rules_report(reader, node, "a reply needs `send:`, a message or a list of them");
        return false;
    }
    return read_script(reader, keys[1].value, "send", scope, false, &reply->script) && is_good;
}

static bool read_replies(struct rules_reader *reader, yaml_node_t *node, const struct template_scope *scope,
                         struct rule_socket *socket)
{
    struct template_scope with_message = {
        .path = scope->path, .counters = scope->counters, .has_message = true};
    size_t count = rules_item_count(node);
    bool is_good = true;

    if (count == 0 || count > REPLIES_MAX) {
        rules_report(reader, node, "replies is a list of 1 to %d replies", REPLIES_MAX);
        return false;
    }
    socket->replies = make_list(reader, count, sizeof *socket->replies);
    if (socket->replies == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        is_good &= read_reply(reader, rules_item(reader, node, i), &with_message,
                              &socket->replies[socket->reply_count++]);
    return is_good;
}

static bool read_protocols(struct rules_reader *reader, yaml_node_t *node, struct rule_socket *socket)
{
    size_t count = rules_item_count(node);

    if (count == 0 || count > PROTOCOLS_MAX) {
        rules_report(reader, node, "protocols is a name, or a list of 1 to %d", PROTOCOLS_MAX);
        return false;
    }
    socket->protocols = make_list(reader, count, sizeof *socket->protocols);
    if (socket->protocols == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const yaml_node_t *item = rules_item(reader, node, i);
        struct bytes *protocol = &socket->protocols[socket->protocol_count++];
        if (!rules_read_text(reader, item, "protocols", protocol))
            return false;
        if (!http_is_token(*protocol)) {
            rules_report(reader, item,
                         "protocols: a name such as chat.v1, as Sec-WebSocket-Protocol has it");
            return false;
        }
    }
    return true;
}

bool rule_socket_read(struct rules_reader *reader, yaml_node_t *node, const struct template_scope *scope,
                      bool cycles, struct rule_socket *socket)
{
    struct rules_key keys[] = {
        {"protocols", NULL}, {"messages", NULL}, {"replies", NULL}, {"changes", NULL}, {"ping", NULL}};
    bool is_good = true;

    socket->is_said = true;
    socket->limits = (struct websocket_limits){.message_bytes_max = MESSAGE_BYTES_MAX,
                                               .output_bytes_max = OUTPUT_BYTES_MAX,
                                               .ping_ms = PING_MS,
                                               .pong_ms = PONG_MS,
                                               .close_ms = CLOSE_MS};
    if (!rules_read_keys(reader, node, "websocket", keys, COUNT_OF(keys)))
        return false;
    if (keys[0].value != NULL)
        is_good &= read_protocols(reader, keys[0].value, socket);
    if (keys[1].value != NULL) {
        is_good &= read_script(reader, keys[1].value, "messages", scope, cycles, &socket->messages);
    } else if (cycles) {
        rules_report(reader, node, "then: cycle is about messages, and this websocket has none");
        is_good = false;
    }
    if (keys[2].value != NULL)
        is_good &= read_replies(reader, keys[2].value, scope, socket);
    if (keys[3].value != NULL) {
        is_good &= rules_read_text(reader, keys[3].value, "changes", &socket->changes);
        if (socket->changes.size == 0) {
            rules_report(reader, keys[3].value, "changes is the name of a collection, or \"*\"");
            is_good = false;
        }
    }
    if (keys[4].value != NULL)
        is_good &= rules_read_duration(reader, keys[4].value, "ping", &socket->limits.ping_ms);
    return is_good;
}

static void script_fini(struct socket_script *script)
{
    for (size_t i = 0; i < script->count; i++) {
        template_fini(&script->steps[i].text);
        buffer_fini(&script->steps[i].binary);
    }
    free(script->steps);
}

void rule_socket_fini(struct rule_socket *socket)
{
    script_fini(&socket->messages);
    for (size_t i = 0; i < socket->reply_count; i++) {
        for (size_t j = 0; j < socket->replies[i].check_count; j++)
            body_check_fini(&socket->replies[i].checks[j]);
        free(socket->replies[i].checks);
        script_fini(&socket->replies[i].script);
    }
    free(socket->replies);
    free(socket->protocols);
}

const struct socket_script *rule_socket_reply(const struct rule_socket *socket,
                                              struct request_view *message)
{
    for (size_t i = 0; i < socket->reply_count; i++) {
        const struct socket_reply *reply = &socket->replies[i];
        size_t held = 0;
        while (held < reply->check_count && body_check_holds(&reply->checks[held], message))
            held++;
        if (held == reply->check_count)
            return &reply->script;
    }
    return NULL;
}
