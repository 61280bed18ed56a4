/* rule_socket.h — what a rule says over a WebSocket: a script from its beginning on, replies to what the
 * client says, the writes of a collection.
 *
 *   websocket:
 *     protocols: [chat.v2, chat.v1]          subprotocols that are spoken
 *     messages:                              the script: each some time after the one before
 *       - {after: 1s, text: "it is {{now}}"}     or json: …, or binary: "AQID" (base64)
 *       - {after: 1s, close: {code: 4000, reason: enough}}    or close: 4000; the last
 *     replies:                               the first whose match holds; without one: any message
 *       - {match: ping, send: {text: pong}}      match as of a body (see body_check.h), or a list of them
 *       - {match: {pointer: /type, equals: add}, send: [{json: {id: "{{message /id}}"}}, {after: 1s, text:
 * a}]}
 *       - {send: {echo: true}}
 *     changes: birds                         each write of it, "*": of all; as JSON
 *     ping: 30s                              after so long a silence; 0s: never */
#pragma once
#include "body_check.h"
#include "protocol/http/websocket.h"
#include "template.h"

enum socket_step_kind { SOCKET_STEP_TEXT, SOCKET_STEP_BINARY, SOCKET_STEP_ECHO, SOCKET_STEP_CLOSE };

struct socket_step {
    int64_t after_ms;
    enum socket_step_kind kind;
    struct template text; /* a message, or a close's reason */
    struct buffer binary;
    int close_code;
};

struct socket_script {
    struct socket_step *steps;
    size_t count;
};

struct socket_reply {
    struct body_check *checks; /* none: any message */
    size_t check_count;
    struct socket_script script;
};

struct rule_socket {
    bool is_said; /* the rule has one */
    struct bytes *protocols;
    size_t protocol_count;
    struct socket_script messages;
    struct socket_reply *replies;
    size_t reply_count;
    struct bytes changes; /* empty: none */
    struct websocket_limits limits;
};

/* Reads the mapping `node` into a zeroed struct; with `cycles` the script is said again and again. False
 * with a report. rule_socket_fini in either case. */
bool rule_socket_read(struct rules_reader *reader, yaml_node_t *node, const struct template_scope *scope,
                      bool cycles, struct rule_socket *socket);
void rule_socket_fini(struct rule_socket *socket);

/* What is to be said to a message, which is the body of `message`; null: nothing. */
const struct socket_script *rule_socket_reply(const struct rule_socket *socket,
                                              struct request_view *message);
