#include "text_check.h"
#define PCRE2_CODE_UNIT_WIDTH 8
#include <openssl/evp.h>
#include <pcre2.h>

/* What a pattern may cost on one text: backtracking beyond it is no match. */
enum {
    MATCH_STEPS_MAX = 200000,
    MATCH_DEPTH_MAX = 1000,
    MATCH_HEAP_KIB_MAX = 4096,
    PATTERN_BYTES_MAX = 4096,
    SHA256_BYTES = 32
};

static bool compile(struct rules_reader *reader, const yaml_node_t *node, struct text_check *check)
{
    PCRE2_UCHAR why[160];
    PCRE2_SIZE at = 0;
    int code = 0;

    if (check->wanted.size > PATTERN_BYTES_MAX) {
        rules_report(reader, node, "matches: a pattern of at most %d bytes", PATTERN_BYTES_MAX);
        return false;
    }
    check->pattern =
        pcre2_compile((PCRE2_SPTR)check->wanted.data, check->wanted.size,
                      PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (check->pattern != NULL)
        return true;
    pcre2_get_error_message(code, why, sizeof why);
    rules_report(reader, node, "matches: not a pattern: %s, at byte %zu", (const char *)why, (size_t)at);
    return false;
}

/* In capital letters or small ones. */
static bool is_sha256(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = byte_to_lower(text.data[i]);
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return text.size == 2 * SHA256_BYTES;
}

bool text_check_make(struct rules_reader *reader, yaml_node_t *node, const char *word,
                     struct text_check *check)
{
    bool is_present;

    if (strcmp(word, "present") == 0) {
        if (!rules_read_answer(reader, node, word, &is_present))
            return false;
        check->kind = is_present ? TEXT_PRESENT : TEXT_ABSENT;
        return true;
    }
    if (!rules_read_text(reader, node, word, &check->wanted))
        return false;
    if (strcmp(word, "sha256") == 0) {
        check->kind = TEXT_SHA256;
        if (is_sha256(check->wanted))
            return true;
        rules_report(reader, node, "sha256 is 64 hexadecimal digits, as sha256sum prints them");
        return false;
    }
    check->kind = strcmp(word, "equals") == 0     ? TEXT_EQUALS
                  : strcmp(word, "contains") == 0 ? TEXT_CONTAINS
                                                  : TEXT_MATCHES;
    return check->kind != TEXT_MATCHES || compile(reader, node, check);
}

const struct rules_key *text_check_key(struct rules_reader *reader, const yaml_node_t *node,
                                       const char *what, const struct rules_key *keys, size_t count)
{
    const struct rules_key *said = NULL;

    for (size_t i = 0; i < count; i++) {
        if (keys[i].value == NULL)
            continue;
        if (said != NULL) {
            rules_report(reader, keys[i].value, "one of equals, contains, matches and present, not two");
            return NULL;
        }
        said = &keys[i];
    }
    if (said == NULL)
        rules_report(reader, node, "%s needs one of equals, contains, matches and present", what);
    return said;
}

bool text_check_read(struct rules_reader *reader, yaml_node_t *node, const char *what,
                     struct text_check *check)
{
    struct rules_key keys[] = {{"equals", NULL}, {"contains", NULL}, {"matches", NULL}, {"present", NULL}};
    const struct rules_key *said;

    if (rules_is_scalar(node))
        return text_check_make(reader, node, "equals", check);
    if (!rules_read_keys(reader, node, what, keys, COUNT_OF(keys)))
        return false;
    said = text_check_key(reader, node, what, keys, COUNT_OF(keys));
    return said != NULL && text_check_make(reader, said->value, said->name, check);
}

void text_check_fini(struct text_check *check) { pcre2_code_free(check->pattern); }

static bool pattern_matches(const struct text_check *check, struct bytes text)
{
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    bool matches = false;

    if (limits != NULL && data != NULL) {
        pcre2_set_match_limit(limits, MATCH_STEPS_MAX);
        pcre2_set_depth_limit(limits, MATCH_DEPTH_MAX);
        pcre2_set_heap_limit(limits, MATCH_HEAP_KIB_MAX);
        matches = pcre2_match(check->pattern, (PCRE2_SPTR)(text.size > 0 ? text.data : ""), text.size, 0, 0,
                              data, limits) >= 0;
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(limits);
    return matches;
}

static bool has_digest(const struct text_check *check, struct bytes text)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];

    if (EVP_Digest(text.size > 0 ? text.data : "", text.size, digest, NULL, EVP_sha256(), NULL) != 1)
        return false;
    for (size_t i = 0; i < check->wanted.size; i++)
        if (byte_to_lower(check->wanted.data[i]) !=
            digits[i % 2 == 0 ? digest[i / 2] >> 4 : digest[i / 2] & 15])
            return false;
    return true;
}

bool text_check_holds(const struct text_check *check, struct bytes text)
{
    switch (check->kind) {
    case TEXT_EQUALS: return bytes_equal(text, check->wanted);
    case TEXT_CONTAINS:
        return check->wanted.size == 0 || (text.size > 0 && memmem(text.data, text.size, check->wanted.data,
                                                                   check->wanted.size) != NULL);
    case TEXT_MATCHES: return pattern_matches(check, text);
    case TEXT_SHA256: return has_digest(check, text);
    case TEXT_PRESENT: return true;
    case TEXT_ABSENT: return false;
    }
    UNREACHABLE();
}
