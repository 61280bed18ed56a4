/* route_match.h — which requests a route takes: by host, path, method and fields, all of which must fit.
 * Pure.
 *
 * A host is one name, or `*.example.com` for all below it, whatever the port. A field must be there with a
 * value that fits a pattern of base/glob.h; one of several lines will do. */
#pragma once
#include "base/err.h"
#include "message/http.h"
#include "path_pattern.h"

/* A field by name, with its value or a pattern of it. */
struct field_spec {
    char *name, *value;
};

/* What is asked for; null or none: any will do. */
struct match_spec {
    char *host, *path;
    char **methods;
    size_t method_count;
    struct field_spec *fields;
    size_t field_count;
};

/* A copy in memory of its own. False if there is none; fini is due in any case. */
bool match_spec_copy(struct match_spec *copy, const struct match_spec *spec);
void match_spec_fini(struct match_spec *spec);

struct route_match {
    struct match_spec own; /* what was asked for, in memory of its own */
    bool has_host, has_subdomains, has_path;
    struct bytes host; /* of subdomains: with its leading dot */
    struct path_pattern path;
};

/* Returns OK; ERR_SYNTAX: a path that path_pattern_parse refuses; ERR_NO_MEMORY. After an error, too, fini
 * is due. */
enum err route_match_init(struct route_match *match, const struct match_spec *spec);
void route_match_fini(struct route_match *match);

bool route_matches(const struct route_match *match, const struct http_request *request);

/* What is wrong with a host to match, or null. */
const char *match_host_is_wrong(struct bytes host);
