/* document.h — a document of JSON or YAML and the files that it refers to with $ref.
 *
 * Files are named relative to the one that names them, and lie in the first one's folder or below; nothing
 * is fetched from the network. What is wrong is complained of while the rest is still looked at: whoever
 * loads a document asks document_error once, at the end. One thread while it is loaded; then immutable. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include "region.h"
#include <jansson.h>

enum {
    DOCUMENT_FILES_MAX = 200,
    DOCUMENT_BYTES_MAX = 128 << 20, /* of all files */
    DOCUMENT_COMPLAINTS_MAX = 10,   /* that are told of; one line each */
};

struct document;
struct source; /* one file */

/* A value in one of the files. */
struct place {
    const struct source *source;
    const json_t *node;  /* null: there is none */
    const char *pointer; /* RFC 6901 */
};

/* `path` is only a name for its folder; `text` the JSON or YAML. Returns OK; ERR_SYNTAX with a sentence
 * that says where and what appended to `message`; ERR_NO_MEMORY. */
enum err document_create(const char *path, struct bytes text, struct document **document,
                         struct buffer *message);
void document_destroy(struct document *document);

/* From here on `files` gets the path of each file that the document refers to, each with a byte of 0 behind
 * it, also of those that cannot be read, until it is sealed. May be null. */
void document_note_files(struct document *document, struct buffer *files);

/* What is taken apart from the document lives as long as it does. */
struct region *document_region(struct document *document);

struct place document_root(const struct document *document);

/* The member called `name` of an object, the item at `index` of an array; without a node if there is none.
 */
struct place document_member(struct document *document, struct place parent, const char *name);
struct place document_item(struct document *document, struct place parent, size_t index);

/* Where `reference`, found at `from`, leads. Complains, and returns no node, if that is nowhere. */
struct place document_follow(struct document *document, struct place from, const char *reference);

/* `place`, or where its "$ref" leads in the end; no node, after a complaint, if that is nowhere or a
 * circle. */
struct place document_resolve(struct document *document, struct place place);

/* Notes that something is wrong at `place`. */
void document_complain(struct document *document, struct place place, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Notes that memory was wanting. */
void document_fail(struct document *document);

/* OK, or what has been noted: ERR_SYNTAX with the complaints appended to `message`, unless that is null, or
 * ERR_NO_MEMORY. */
enum err document_error(struct document *document, struct buffer *message);

/* Frees what only the time of loading needs: texts, for positions. No complaint may follow. */
void document_seal(struct document *document);

/* "file.yaml#/a/b", in the document's region; null without memory. */
const char *document_describe(struct document *document, struct place place);
