/* yaml_json.h — YAML as JSON text, for files that people write by hand. Pure.
 *
 * What it takes is what JSON can say: one document of mappings, sequences and the scalars of YAML 1.2's
 * core schema (§10.3), so that `yes` is a text and `2024-01-01` too. A key is the text it is written as.
 * Each value of the JSON text is on the line it has in the YAML, and near its column, so that a position in
 * the one is a position in the other; what an alias stands for is all on the alias's line. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"

enum {
    YAML_DEPTH_MAX = 500,            /* of sequences and mappings in each other */
    YAML_ANCHORS_MAX = 1000,         /* names of anchors in one document */
    YAML_ALIAS_BYTES_MAX = 16 << 20, /* of JSON that all aliases together may stand for */
};

/* Appends `yaml`, in UTF-8 or UTF-16, as JSON to `json`. Returns OK; ERR_SYNTAX with a sentence of
 * printable ASCII that says where and what appended to `message`, and `json` with a part of it;
 * ERR_NO_MEMORY. */
enum err yaml_json_convert(struct bytes yaml, struct buffer *json, struct buffer *message);

/* Whether a file called `path` is YAML: its name ends with .yaml or .yml. */
bool yaml_json_is_named(struct bytes path);
