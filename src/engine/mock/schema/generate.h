/* generate.h — values made from a schema: the same for the same seed, bounded in depth and in size. Pure.
 *
 * Each value that is given fits the schema: what was made is checked, and made anew if it does not. Not
 * every schema has a value that can be found this way (a "not" that excludes nearly everything, a number
 * theorem in a pattern). */
#pragma once
#include "random.h"
#include "schema_check.h"

struct generate_options {
    uint64_t seed;
    enum schema_direction direction; /* what is readOnly or writeOnly the other way is left out */
    bool uses_examples; /* where a schema has an example or a default that fits, that; and all members
                         * that may be there are */
};

/* A new value; null if none was found, or there is no memory. */
json_t *generate_value(const struct schema *schema, const struct generate_options *options);

/* Appends to `text` what the regular expression `pattern` might match: repetitions that may be as many or
 * more take up to `stretch` more than they must. False, with a part of it appended, for what it cannot make
 * out: look-around and anchors are passed over, back references are not. */
bool generate_matching(struct random_source *random, const char *pattern, size_t stretch,
                       struct buffer *text);
