/* json_position.h — where in a JSON text a pointer points: for what is said of it to people. */
#pragma once
#include "base/bytes.h"

/* Lines and columns (of bytes) count from 1. `pointer` is RFC 6901's, "" the whole. False if nothing is
 * there, or `text` is not JSON that has been parsed before. Follows the last of two members of one name. */
bool json_position_find(struct bytes text, struct bytes pointer, size_t *line, size_t *column);

/* Takes the next token off `pointer`, which begins with '/', and decodes it into `token`. False if it is
 * malformed or longer than that. */
enum { POINTER_TOKEN_BYTES_MAX = 1024 };
bool json_pointer_next(struct bytes *pointer, char token[static POINTER_TOKEN_BYTES_MAX]);
