/* listen.h — sockets that wait for connections. */
#pragma once
#include "base/bytes.h"
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct address {
    struct sockaddr_storage storage;
    socklen_t size;
};

enum { ADDRESS_TEXT_BYTES = 64 };

/* Reads "127.0.0.1:6379", "[::1]:6379" or "localhost:6379" (names are looked up). Port 0 asks for any free
 * port. Returns OK; ERR_SYNTAX; ERR_RANGE (the port); ERR_MISSING (no such host). */
enum err address_parse(struct bytes text, struct address *address);

/* Writes "127.0.0.1:6379" or "[::1]:6379", terminated. */
void address_format(const struct address *address, char text[ADDRESS_TEXT_BYTES]);

/* True for 127.0.0.0/8 and ::1: nobody but this machine reaches it. */
bool address_is_loopback(const struct address *address);

uint16_t address_port(const struct address *address);

/* Opens a listening socket, non-blocking and close-on-exec, with SO_REUSEADDR, and SO_REUSEPORT if
 * `shared` (one socket per worker on one port). `address` is updated with the port that was given.
 * A first socket opened with `shared` false on a port somebody listens on fails: ERR_ADDRESS_IN_USE;
 * with `shared` true it also fails if the port belongs to another process.
 * Returns OK; ERR_ADDRESS_IN_USE, ERR_FORBIDDEN, ERR_UNREACHABLE, ERR_NO_DESCRIPTOR, ERR_SYSTEM. */
enum err listen_open(struct address *address, bool shared, int *fd);

/* The peer's and our own address of a connected socket, as text; empty if unknown. */
void address_of_peer(int fd, char text[ADDRESS_TEXT_BYTES]);
void address_of_self(int fd, char text[ADDRESS_TEXT_BYTES]);
