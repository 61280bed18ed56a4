/* schema_check.h — whether a value is as a schema says. Pure; any thread.
 *
 * Bounded in depth and in work: a value that would take more is a violation like another. */
#pragma once
#include "schema.h"
#include "violations.h"

/* Which way the value goes: what is required and readOnly is so in a response only, writeOnly in a request
 * only (OpenAPI 3.0.3 §4.7.24.2). */
enum schema_direction { SCHEMA_TO_CLIENT, SCHEMA_TO_SERVER };

/* True if `value` fits. If not, and `violations` is not null, says there why, each `in` that part of a
 * request, its pointer `prefix` and the way from there. */
bool schema_fits(const struct schema *schema, const json_t *value, enum schema_direction direction,
                 struct violations *violations, const char *in, const char *prefix);
