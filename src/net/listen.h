/* listen.h — sockets that wait for connections. */
#pragma once
#include "base/bytes.h"
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct address {
    struct sockaddr_storage storage;
    socklen_t size;
};

enum {
    LISTEN_PATH_BYTES_MAX = 107, /* of a Unix socket's path: the kernel's bound */
    ADDRESS_TEXT_BYTES = LISTEN_PATH_BYTES_MAX + sizeof ":0",
};

/* Reads "127.0.0.1:6379", "[::1]:6379" or "localhost:6379" (names are looked up). Port 0 asks for any free
 * port. Returns OK; ERR_SYNTAX; ERR_RANGE (the port); ERR_MISSING (no such host). */
enum err address_parse(struct bytes text, struct address *address);

/* A Unix socket's address, from an absolute path. Returns OK; ERR_SYNTAX; ERR_TOO_LARGE. */
enum err address_of_path(struct bytes path, struct address *address);

/* Writes "127.0.0.1:6379", "[::1]:6379" or "/run/cache.sock", terminated. */
void address_format(const struct address *address, char text[ADDRESS_TEXT_BYTES]);

/* True for 127.0.0.0/8, ::1 and Unix sockets: nobody but this machine reaches it. */
bool address_is_loopback(const struct address *address);

uint16_t address_port(const struct address *address); /* 0 of a Unix socket */

/* Opens a listening socket, non-blocking and close-on-exec, with SO_REUSEADDR, and SO_REUSEPORT if
 * `shared` (one socket per worker on one port). `address` is updated with the port that was given.
 * A first socket opened with `shared` false on a port somebody listens on fails: ERR_ADDRESS_IN_USE;
 * with `shared` true it also fails if the port belongs to another process.
 * Returns OK; ERR_ADDRESS_IN_USE, ERR_FORBIDDEN, ERR_UNREACHABLE, ERR_NO_DESCRIPTOR, ERR_SYSTEM. */
enum err listen_open(struct address *address, bool shared, int *fd);

/* Which file a listening Unix socket made, to tell it from one that somebody put in its place. */
struct socket_file {
    dev_t device;
    ino_t number;
};

/* Opens a listening Unix socket, non-blocking and close-on-exec, at a path from address_of_path, with the
 * permissions `mode`, or those of the umask if `mode` is negative. A socket that is left there from before
 * and on which nobody listens is replaced. Returns OK with `*fd` and `*file`; ERR_ADDRESS_IN_USE;
 * ERR_EXISTS (a file that is no socket); ERR_MISSING (the folder), ERR_FORBIDDEN, ERR_NO_DESCRIPTOR,
 * ERR_SYSTEM. */
enum err listen_open_unix(const struct address *address, int mode, struct socket_file *file, int *fd);

/* Removes the socket's file, if it is still the one that listen_open_unix made. Called before the socket is
 * closed: until then no other file can have its number. */
void socket_file_remove(const struct address *address, const struct socket_file *file);

/* The peer's and our own address of a connected socket, as text; empty if unknown. Those of a Unix socket
 * are both the path that was connected to, as "/run/cache.sock:0": what Redis says. */
void address_of_peer(int fd, char text[ADDRESS_TEXT_BYTES]);
void address_of_self(int fd, char text[ADDRESS_TEXT_BYTES]);
