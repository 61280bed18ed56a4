#include "base/err.h"
#include "base/compiler.h"
#include <errno.h>

const char *err_text(enum err err)
{
    switch (err) {
    case OK: return "ok";
#define ERROR(name, text)                                                                                  \
    case ERR_##name:                                                                                       \
        return text;
#include "tables/errors.def"
#undef ERROR
    }
    UNREACHABLE();
}

enum err err_from_errno(int errno_value)
{
    switch (errno_value) {
    case 0: return OK;
    case ENOENT: return ERR_MISSING;
    case EEXIST: return ERR_EXISTS;
    case ENOMEM:
    case ENOBUFS: return ERR_NO_MEMORY;
    case ETIMEDOUT: return ERR_TIMEOUT;
    case EPIPE:
    case ECONNRESET: return ERR_CLOSED;
    case ECONNREFUSED: return ERR_REFUSED;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL: return ERR_UNREACHABLE;
    case EADDRINUSE: return ERR_ADDRESS_IN_USE;
    case EMFILE:
    case ENFILE: return ERR_NO_DESCRIPTOR;
    case EACCES:
    case EPERM: return ERR_FORBIDDEN;
    case ENOSYS:
    case EOPNOTSUPP: return ERR_UNSUPPORTED;
    case ECANCELED: return ERR_CANCELLED;
    default: return ERR_SYSTEM;
    }
}
