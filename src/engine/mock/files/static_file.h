/* static_file.h — answers a request with a file of a folder: whole or in parts, if it has changed, a piece
 * at a time whatever its size. */
#pragma once
#include "folder.h"
#include "message/exchange.h"

/* Answers `x`, a GET or HEAD that nobody has answered, and takes it over; or returns false with nothing
 * done if there is no such file. `lines` are field lines for every answer, already rendered; they are
 * copied. */
bool static_file_answer(const struct folder *folder, struct exchange *x, struct bytes lines);
