#include "cache_status.h"
#include "base/compiler.h"
#include "base/number.h"

static const struct bytes reasons[] = {
    [FORWARD_NONE] = BYTES_INIT("; hit"),
    [FORWARD_REFUSED] = BYTES_INIT(""),
    [FORWARD_BYPASS] = BYTES_INIT("; fwd=bypass"),
    [FORWARD_METHOD] = BYTES_INIT("; fwd=method"),
    [FORWARD_URI_MISS] = BYTES_INIT("; fwd=uri-miss"),
    [FORWARD_VARY_MISS] = BYTES_INIT("; fwd=vary-miss"),
    [FORWARD_REQUEST] = BYTES_INIT("; fwd=request"),
    [FORWARD_STALE] = BYTES_INIT("; fwd=stale"),
};

static char *append(char *at, struct bytes bytes)
{
    memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

size_t cache_status_format(char *text, const struct cache_status *status)
{
    char *at = append(text, BYTES("nuthatch"));

    at = append(at, reasons[status->reason]);
    if (status->reason != FORWARD_NONE && status->origin_status != 0) {
        at = append(at, BYTES("; fwd-status="));
        at += int64_format(at, status->origin_status);
    }
    if (status->has_ttl) {
        at = append(at, BYTES("; ttl="));
        at += int64_format(at, status->ttl_seconds);
    }
    if (status->stored)
        at = append(at, BYTES("; stored"));
    if (status->collapsed)
        at = append(at, BYTES("; collapsed"));
    if (status->detail != NULL) {
        struct bytes detail = bytes_of_text(status->detail);
        at = append(at, BYTES("; detail="));
        at = append(at, bytes_first(detail, detail.size < 32 ? detail.size : 32));
    }
    return (size_t)(at - text);
}

const char *cache_status_word(const struct cache_status *status)
{
    if (status->collapsed)
        return "collapsed";
    switch (status->reason) {
    case FORWARD_NONE: return status->has_ttl && status->ttl_seconds < 0 ? "stale" : "hit";
    case FORWARD_REFUSED: return "refused";
    case FORWARD_BYPASS:
    case FORWARD_METHOD: return "bypass";
    case FORWARD_URI_MISS:
    case FORWARD_VARY_MISS:
    case FORWARD_REQUEST: return "miss";
    case FORWARD_STALE: return status->origin_status == 304 ? "revalidated" : "expired";
    }
    UNREACHABLE();
}
