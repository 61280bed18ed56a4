/* err.h — what a function returns that the world can make fail. The rows are in tables/errors.def. */
#pragma once

enum err {
    OK = 0,
#define ERROR(name, text) ERR_##name,
#include "tables/errors.def"
#undef ERROR
};

/* A few words for a person, such as "address already in use". Static; any thread. */
const char *err_text(enum err err);

/* The err that stands for an errno value; ERR_SYSTEM for one without a row. */
enum err err_from_errno(int errno_value);
