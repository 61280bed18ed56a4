/* format.h — the values of `format` that are checked and made, from the registries of JSON Schema and
 * OpenAPI. */
#pragma once
#include "base/bytes.h"

/* FORMAT(identifier, name, what such a value is) */
#define FORMATS(FORMAT)                                                                                    \
    FORMAT(DATE, "date", "a date such as 2026-01-31")                                                      \
    FORMAT(DATE_TIME, "date-time", "a date and time such as 2026-01-31T12:00:00Z")                         \
    FORMAT(TIME, "time", "a time such as 12:00:00Z")                                                       \
    FORMAT(DURATION, "duration", "a duration such as P3DT12H")                                             \
    FORMAT(EMAIL, "email", "an e-mail address")                                                            \
    FORMAT(HOSTNAME, "hostname", "a host name")                                                            \
    FORMAT(IPV4, "ipv4", "an IPv4 address")                                                                \
    FORMAT(IPV6, "ipv6", "an IPv6 address")                                                                \
    FORMAT(URI, "uri", "a URI with its scheme")                                                            \
    FORMAT(URI_REFERENCE, "uri-reference", "a URI or a reference to one")                                  \
    FORMAT(UUID, "uuid", "a UUID")                                                                         \
    FORMAT(BYTE, "byte", "base64")                                                                         \
    FORMAT(JSON_POINTER, "json-pointer", "a JSON pointer")                                                 \
    FORMAT(REGEX, "regex", "a regular expression")                                                         \
    FORMAT(INT32, "int32", "an integer of 32 bits")                                                        \
    FORMAT(INT64, "int64", "an integer of 64 bits")

enum format {
    FORMAT_NONE, /* and any that is not known, which JSON Schema says to pass over */
#define FORMAT(identifier, name, what) FORMAT_##identifier,
    FORMATS(FORMAT)
#undef FORMAT
};

enum format format_named(const char *name);

/* Such as "a date such as 2026-01-31"; static. Not of FORMAT_NONE. */
const char *format_describe(enum format format);

/* Whether `string`, valid UTF-8, is of the format; true for those of numbers. */
bool format_fits_string(enum format format, struct bytes string);

/* Whether an integer is within the format's bits; true for those of strings. */
bool format_fits_integer(enum format format, long double number);
