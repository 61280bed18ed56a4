/* file_identity.h — whether a file is still the one it was when we last looked: not its name, but what is
 * in it as far as the file system tells. Of a folder, all the files in it. */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct file_identity {
    uint64_t number, size;
    int64_t changed_ns;
};

/* ERR_MISSING, ERR_FORBIDDEN and the like. */
enum err file_identity_of(const char *path, struct file_identity *identity);
enum err file_identity_of_fd(int fd, struct file_identity *identity);

static inline bool file_identity_equal(const struct file_identity *a, const struct file_identity *b)
{
    return a->number == b->number && a->size == b->size && a->changed_ns == b->changed_ns;
}
