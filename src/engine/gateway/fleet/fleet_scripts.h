/* fleet_scripts.h — what the fleet has the tier do in one step: Lua, for EVAL. All keys of a call are in
 * one slot, those that a script makes up itself included. What each is given: KEYS, then ARGV.
 *
 * A key that is missing is not written by DEL, so that who has read that it is missing, and waits, is not
 * told; scripts that have to tell it set the key for a moment. What is of another type than ours goes. */
#pragma once

/* Takes the lease if nobody has it: 1, or 0.
 *   lease, names | token, milliseconds */
extern const char fleet_script_take[];

/* Keeps the lease for longer if it is still ours: 1, or 0.
 *   lease | token, milliseconds */
extern const char fleet_script_renew[];

/* Puts an answer if the lease is still ours, and ends it: 1, or 0 if a purge or another took the lease, or
 * a piece, all of which are there before, has gone.
 *   lease, names, witness, answer [, the URL's witness] |
 *   token, milliseconds, text of the witness, answer, what pieces' keys begin with, count of pieces
 *   [, text of the URL's witness] */
extern const char fleet_script_fill[];

/* Ends the lease, if it is still ours, without an answer: 1, or 0. Who waits is told.
 *   lease, names, witness | token, text of a note or nothing, its milliseconds */
extern const char fleet_script_release[];

/* Takes out all of a URL, or makes it stale ("s"), and all its leases.
 *   names, the URL's witness, its lease | "h" or "s" */
extern const char fleet_script_purge[];

/* Takes the turn, or keeps it for longer, if nobody else has it: 0; else for how many ms another has it
 * yet. For 0 ms it is given back. turn | token, milliseconds */
extern const char fleet_script_turn[];

/* Takes turns from the bucket of an upstream's limits; the reply is one number: share_reply_read has which.
 * A bucket that is not there is full, or empty if the node remembers that it was used.
 *   bucket | how many, how many it has sent without the tier, "1" if it remembers, and for each limit:
 *   burst, microseconds for each */
extern const char fleet_script_share[];

/* Notes that a node is there: the number of those that have said so within some milliseconds.
 *   nodes | node, milliseconds */
extern const char fleet_script_here[];

/* Adds a record to the log of purges, and returns its number as text; makes the log if there is none, or
 * anew ("1"). Without a rule nothing is added.
 *   log | node (8 bytes), rule or nothing, "h" or "s", place of the tag, text, "0" or "1" */
extern const char fleet_script_log[];
