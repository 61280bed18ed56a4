#include "matcher.h"
#include "body_check.h"
#include "text_check.h"
#include <stdlib.h>

enum { METHODS_MAX = 16, CHECKS_MAX = 64 };

/* ---- reading ------------------------------------------------------------------------------------- */

static bool read_methods(struct rules_reader *reader, yaml_node_t *node, struct matcher *matcher)
{
    size_t count = rules_item_count(node);

    if (count > METHODS_MAX) {
        rules_report(reader, node, "method: at most %d", METHODS_MAX);
        return false;
    }
    matcher->methods = calloc(count + 1, sizeof *matcher->methods);
    if (matcher->methods == NULL) {
        reader->no_memory = true;
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const yaml_node_t *item = rules_item(reader, node, i);
        struct bytes *method = &matcher->methods[matcher->method_count];
        if (!rules_read_text(reader, item, "method", method))
            return false;
        for (size_t c = 0; c < method->size; c++)
            if (method->data[c] < 'A' || method->data[c] > 'Z') {
                rules_report(reader, item, "method is written in capitals, such as GET, or a list of such");
                return false;
            }
        matcher->method_count++;
    }
    return true;
}

/* How many demands a mapping has; a value may be a list of them. */
static size_t count_checks(struct rules_reader *reader, yaml_node_t *node)
{
    size_t count = 0;

    for (size_t i = 0; rules_is_mapping(node) && i < rules_pair_count(node); i++) {
        yaml_document_t *document = &reader->document;
        count +=
            rules_item_count(yaml_document_get_node(document, node->data.mapping.pairs.start[i].value));
    }
    return count;
}

/* The checks of a mapping from names to what their values must be. */
static bool read_checks(struct rules_reader *reader, yaml_node_t *node, const char *what,
                        struct text_check **checks, size_t *count)
{
    size_t wanted = count_checks(reader, node);
    bool is_good = true;

    if (!rules_is_mapping(node) || wanted > CHECKS_MAX) {
        rules_report(reader, node, "%s is a mapping from names to what their values must be, %d at most",
                     what, CHECKS_MAX);
        return false;
    }
    *checks = calloc(wanted + 1, sizeof **checks);
    if (*checks == NULL) {
        reader->no_memory = true;
        return false;
    }
    for (size_t i = 0; i < rules_pair_count(node); i++) {
        struct bytes name;
        yaml_node_t *value;
        if (!rules_pair(reader, node, i, &name, &value)) {
            is_good = false;
            continue;
        }
        for (size_t j = 0; j < rules_item_count(value); j++) {
            struct text_check *check = &(*checks)[(*count)++];
            check->name = name;
            is_good &= text_check_read(reader, rules_item(reader, value, j), what, check);
        }
    }
    return is_good;
}

static bool read_bodies(struct rules_reader *reader, yaml_node_t *node, struct matcher *matcher)
{
    size_t count = rules_item_count(node);
    bool is_good = true;

    if (count > CHECKS_MAX) {
        rules_report(reader, node, "body: at most %d demands", CHECKS_MAX);
        return false;
    }
    matcher->bodies = calloc(count + 1, sizeof *matcher->bodies);
    if (matcher->bodies == NULL) {
        reader->no_memory = true;
        return false;
    }
    for (size_t i = 0; i < count; i++)
        is_good &= body_check_read(reader, rules_item(reader, node, i), "body",
                                   &matcher->bodies[matcher->body_count++]);
    return is_good;
}

bool matcher_read(struct rules_reader *reader, yaml_node_t *node, const char *what, struct matcher *matcher)
{
    struct rules_key keys[] = {{"method", NULL},  {"path", NULL}, {"query", NULL},
                               {"headers", NULL}, {"body", NULL}, {"exact_query", NULL}};
    bool is_good = true;

    *matcher = (struct matcher){0};
    if (!rules_read_keys(reader, node, what, keys, COUNT_OF(keys)))
        return false;
    if (keys[0].value != NULL)
        is_good &= read_methods(reader, keys[0].value, matcher);
    if (keys[1].value != NULL) {
        matcher->has_path = true;
        is_good &= rule_path_read(reader, keys[1].value, &matcher->path);
    }
    if (keys[2].value != NULL)
        is_good &= read_checks(reader, keys[2].value, "query", &matcher->query, &matcher->query_count);
    if (keys[3].value != NULL)
        is_good &= read_checks(reader, keys[3].value, "headers", &matcher->fields, &matcher->field_count);
    if (keys[4].value != NULL)
        is_good &= read_bodies(reader, keys[4].value, matcher);
    if (keys[5].value != NULL)
        is_good &= rules_read_answer(reader, keys[5].value, "exact_query", &matcher->is_query_exact);
    return is_good;
}

void matcher_fini(struct matcher *matcher)
{
    for (size_t i = 0; i < matcher->query_count; i++)
        text_check_fini(&matcher->query[i]);
    for (size_t i = 0; i < matcher->field_count; i++)
        text_check_fini(&matcher->fields[i]);
    for (size_t i = 0; i < matcher->body_count; i++)
        body_check_fini(&matcher->bodies[i]);
    free(matcher->methods);
    free(matcher->query);
    free(matcher->fields);
    free(matcher->bodies);
}

/* ---- asking -------------------------------------------------------------------------------------- */

static bool has_method(const struct matcher *matcher, struct bytes method)
{
    for (size_t i = 0; i < matcher->method_count; i++)
        if (bytes_equal(matcher->methods[i], method) ||
            (bytes_equal(method, BYTES("HEAD")) && bytes_equal(matcher->methods[i], BYTES("GET"))))
            return true; /* RFC 9110 §9.3.2: HEAD is GET without the body */
    return matcher->method_count == 0;
}

static bool query_holds(const struct text_check *check, const struct http_request *request)
{
    struct buffer name = {0}, value = {0};
    struct bytes rest = request->query;
    bool is_there = false, holds = false;

    while (!holds && request_next_parameter(&rest, &name, &value)) {
        if (!bytes_equal(buffer_bytes(&name), check->name))
            continue;
        is_there = true;
        holds = text_check_holds(check, buffer_bytes(&value));
    }
    buffer_fini(&name);
    buffer_fini(&value);
    return check->kind == TEXT_ABSENT ? !is_there : holds;
}

/* Whether every parameter of the query is one that is demanded, and as it is. */
static bool has_only_demanded(const struct matcher *matcher, const struct http_request *request)
{
    struct buffer name = {0}, value = {0};
    struct bytes rest = request->query;
    bool is_demanded = true;

    while (is_demanded && request_next_parameter(&rest, &name, &value)) {
        is_demanded = false;
        for (size_t i = 0; i < matcher->query_count && !is_demanded; i++)
            is_demanded = bytes_equal(matcher->query[i].name, buffer_bytes(&name)) &&
                          text_check_holds(&matcher->query[i], buffer_bytes(&value));
    }
    buffer_fini(&name);
    buffer_fini(&value);
    return is_demanded;
}

static bool field_holds(const struct text_check *check, const struct http_fields *fields)
{
    bool is_there = false, holds = false;

    for (size_t i = 0; i < fields->count && !holds; i++) {
        if (!bytes_equal_nocase(fields->list[i].name, check->name))
            continue;
        is_there = true;
        holds = text_check_holds(check, fields->list[i].value);
    }
    return check->kind == TEXT_ABSENT ? !is_there : holds;
}

bool matcher_holds(const struct matcher *matcher, struct request_view *view, struct path_values *values)
{
    const struct http_request *request = view->request;

    if (!has_method(matcher, request->method_name) ||
        (matcher->has_path && !rule_path_matches(&matcher->path, request->path, values)))
        return false;
    for (size_t i = 0; i < matcher->query_count; i++)
        if (!query_holds(&matcher->query[i], request))
            return false;
    if (matcher->is_query_exact && !has_only_demanded(matcher, request))
        return false;
    for (size_t i = 0; i < matcher->field_count; i++)
        if (!field_holds(&matcher->fields[i], &request->fields))
            return false;
    for (size_t i = 0; i < matcher->body_count; i++)
        if (!body_check_holds(&matcher->bodies[i], view))
            return false;
    return true;
}
