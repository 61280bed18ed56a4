/* kv_tier_scripts.h — what one command of the tier cannot do: scripts that look at a key and change it in
 * one step. Each has one key, or several of one slot, and its arguments in the order that is said here.
 *
 * They are sent whole (EVAL): a server that does not know a digest would say so when what was asked behind
 * it has been answered already, and a session must read what it has just written. A server keeps what it
 * has compiled.
 *
 * A time to live is text: "" or a number of milliseconds, "0" for none, "-1" for over at once, "k" for that
 * which the key has. A version is 16 hexadecimal digits, or "" for any. */
#pragma once

/* touch with a time of 0: 1, or 0 if the key is missing. */
extern const char kv_tier_script_persist[];

/* ms and cas with a version: value, flags (4 bytes), ttl, version, "1" to store it as stale where what was
 * read is stale meanwhile. {code, version}. */
extern const char kv_tier_script_put[];

/* append, prepend: value, "A" or "P", version, highest size of the value. {code, version}. */
extern const char kv_tier_script_extend[];

/* incr, decr, ma: "+" or "-", by how much, version, ttl, ttl of a new one or "" to make none, its number.
 * {code, number, version, time to live before, "n" for a new one or ""}. */
extern const char kv_tier_script_add[];

/* mg: ttl or "", ttl of a new one or "" to make none, below how many seconds left it is to be recached or
 * "", or "y": in any case. {string, time to live before, "W": to be recached by who asks, "Z": by another,
 * "n": was made, or ""}; nil. */
extern const char kv_tier_script_show[];

/* md with a version, or that makes stale: version, "I" or "", ttl. A code. */
extern const char kv_tier_script_drop[];

/* NH.DELIFEQ and NH.EXPIREIFEQ: value, milliseconds. 1, or 0 if the key has another value. */
extern const char kv_tier_script_delete_if[];
extern const char kv_tier_script_expire_if[];

/* NH.RATE: limit, cost, nanoseconds for one of a bucket or milliseconds of a window. {1 if it may pass,
 * what remains, when to ask again, when all is free}: kv_rate.h. */
extern const char kv_tier_script_bucket[];
extern const char kv_tier_script_window[];

/* PUT: string, ttl. Whether the key was there. */
extern const char kv_tier_script_store[];
