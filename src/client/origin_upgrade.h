/* origin_upgrade.h — a call that asks its server for another protocol (RFC 9110 §7.8), such as WebSocket.
 *
 *   connecting ──► head ──┬─ 101 ──► bytes both ways, until either side ends
 *                         └─ else ─► body, as of any response; then the end
 *
 * libcurl makes the connection, TLS included, and carries the bytes (CURLOPT_CONNECT_ONLY); what is said
 * over it is ours. The call's owner is told what came as by any other call. */
#pragma once
#include "client/origin_call.h"
#include "client/origin_head.h"

/* Makes `call`, which is not begun, such a one. ERR_NO_MEMORY, ERR_SYNTAX. */
enum err origin_upgrade_create(struct origin_call *call, const struct origin_request *request);

/* Undoes that, if it was done; before the connection is closed. */
void origin_upgrade_destroy(struct origin_call *call);

/* The connection is there: sends the request. */
void origin_upgrade_begin(struct origin_call *call);

/* The final head has come: what kind of body follows. Called before the owner is told. */
void origin_upgrade_note_head(struct origin_call *call, const struct origin_head *head);

/* Goes on with what the owner had held up. May call the owner. */
void origin_upgrade_attend(struct origin_call *call);
