#include "where.h"
#include "engine/mock/json/json_text.h"
#include <stdlib.h>

enum { NODES_MAX = 2 * WHERE_CONDITIONS_MAX };

/* Nodes lie in the order of the text: those of a list come behind it, up to `end`. */
struct node {
    enum { NODE_ALL, NODE_ANY, NODE_CONDITION } kind;
    size_t end;       /* of a list */
    size_t condition; /* else */
};

struct where {
    struct node nodes[NODES_MAX];
    size_t node_count;
    struct condition conditions[WHERE_CONDITIONS_MAX];
    size_t condition_count;
};

/* What is being made, from where we are in the text. */
struct making {
    struct where *where;
    struct query *query;
    struct bytes id_name;
    struct buffer *message;
};

static enum err refuse(const struct making *making, const char *sentence)
{
    buffer_append_literal(making->message, "_where ");
    buffer_append(making->message, bytes_of_text(sentence));
    return making->message->failed ? ERR_NO_MEMORY : ERR_SYNTAX;
}

static struct node *add_node(const struct making *making)
{
    struct where *where = making->where;
    return where->node_count < NODES_MAX ? &where->nodes[where->node_count++] : NULL;
}

static enum err add_value(const struct making *making, struct condition *condition, const json_t *value,
                          bool as_text)
{
    struct buffer json = {0};
    bool is_string = json_is_string(value);
    enum err err = ERR_NO_MEMORY;

    if (json_is_object(value) || json_is_array(value))
        return refuse(making, "compares with strings, numbers, true, false and null only");
    if (is_string)
        buffer_append(&json, bytes_of(json_string_value(value), json_string_length(value)));
    else
        json_text_append(&json, value);
    if (!json.failed)
        err = query_add_operand(making->query, condition,
                                json.size > 0 ? buffer_bytes(&json) : bytes_of("", 0), is_string, as_text,
                                making->message);
    buffer_fini(&json);
    return err;
}

static enum err add_condition(const struct making *making, struct bytes path, enum operation operation,
                              const json_t *value)
{
    struct where *where = making->where;
    struct node *node = add_node(making);
    struct condition *condition;
    bool as_text = bytes_equal(path, making->id_name) && operation != OPERATION_LT &&
                   operation != OPERATION_LTE && operation != OPERATION_GT && operation != OPERATION_GTE;
    enum err err = OK;

    if (node == NULL || where->condition_count == WHERE_CONDITIONS_MAX)
        return refuse(making, "has too many conditions");
    condition = &where->conditions[where->condition_count];
    *node = (struct node){.kind = NODE_CONDITION, .condition = where->condition_count++};
    condition->operation = operation;
    if (!json_path_parse(path, &condition->path))
        return refuse(making, "leads too far down");
    if (operation != OPERATION_IN || !json_is_array(value))
        return add_value(making, condition, value, as_text);
    for (size_t i = 0; err == OK && i < json_array_size(value); i++)
        err = add_value(making, condition, json_array_get(value, i), as_text);
    return err;
}

static enum err add_object(const struct making *making, struct buffer *path, const json_t *object,
                           int depth);

/* "or" and "and": a list of objects. */
static enum err add_list(const struct making *making, struct buffer *path, const json_t *list, bool any,
                         int depth)
{
    size_t at = making->where->node_count;
    struct node *node = add_node(making);
    enum err err = OK;

    if (node == NULL)
        return refuse(making, "has too many conditions");
    *node = (struct node){.kind = any ? NODE_ANY : NODE_ALL};
    for (size_t i = 0; err == OK && i < json_array_size(list); i++)
        err = json_is_object(json_array_get(list, i))
                  ? add_object(making, path, json_array_get(list, i), depth + 1)
                  : refuse(making, "has something in a list that is no object");
    making->where->nodes[at].end = making->where->node_count;
    return err;
}

/* What is said of one member of the item, or of the operations on the member `path`. */
static enum err add_member(const struct making *making, struct buffer *path, struct bytes name,
                           const json_t *value, int depth)
{
    bool is_list = json_is_array(value), any = bytes_equal(name, BYTES("or"));
    size_t before = path->size;
    enum operation operation;
    enum err err;

    if (is_list && (any || bytes_equal(name, BYTES("and"))))
        return add_list(making, path, value, any, depth);
    if (before > 0 && !json_is_object(value) && query_find_operation(name, &operation))
        return operation == OPERATION_LIKE
                   ? refuse(making, "has no like; a parameter has, such as title_like=^tit")
                   : add_condition(making, buffer_bytes(path), operation, value);
    if (!json_is_object(value))
        return refuse(making, "has a member that is no object; write {\"views\":{\"gt\":9}}");
    if (before > 0)
        buffer_append_byte(path, '.');
    buffer_append(path, name);
    err = path->failed ? ERR_NO_MEMORY : add_object(making, path, value, depth + 1);
    path->size = before;
    return err;
}

static enum err add_object(const struct making *making, struct buffer *path, const json_t *object,
                           int depth)
{
    size_t at = making->where->node_count;
    struct node *node = add_node(making);
    const char *name;
    json_t *value;
    enum err err = OK;

    if (node == NULL || depth > WHERE_DEPTH_MAX)
        return refuse(making, "has too many conditions");
    *node = (struct node){.kind = NODE_ALL};
    for (void *i = json_object_iter((json_t *)object); err == OK && i != NULL;
         i = json_object_iter_next((json_t *)object, i)) {
        name = json_object_iter_key(i);
        value = json_object_iter_value(i);
        err = add_member(making, path, bytes_of(name, json_object_iter_key_len(i)), value, depth);
    }
    making->where->nodes[at].end = making->where->node_count;
    return err;
}

enum err where_create(struct query *query, struct bytes text, struct bytes id_name, struct where **where,
                      struct buffer *message)
{
    struct making making = {
        .where = calloc(1, sizeof **where), .query = query, .id_name = id_name, .message = message};
    struct buffer path = {0}, why = {0};
    json_t *object = NULL;
    enum err err = making.where != NULL ? json_text_parse(text, &object, &why) : ERR_NO_MEMORY;

    if (err == ERR_SYNTAX) {
        buffer_append_literal(message, "_where is not JSON: ");
        buffer_append(message, buffer_bytes(&why));
    } else if (err == OK) {
        err = json_is_object(object) ? add_object(&making, &path, object, 0)
                                     : refuse(&making, "must be a JSON object");
    }
    json_decref(object);
    buffer_fini(&path);
    buffer_fini(&why);
    if (err != OK)
        where_destroy(making.where);
    else
        *where = making.where;
    return err;
}

void where_destroy(struct where *where)
{
    if (where == NULL)
        return;
    for (size_t i = 0; i < where->condition_count; i++)
        condition_fini(&where->conditions[i]);
    free(where);
}

/* Whether the node at `*at` holds; `*at` moves behind it. */
static bool node_holds(const struct where *where, struct query *query, struct bytes item, size_t *at)
{
    const struct node *node = &where->nodes[(*at)++];
    bool any = node->kind == NODE_ANY;

    if (node->kind == NODE_CONDITION)
        return condition_holds(query, &where->conditions[node->condition], item);
    while (*at < node->end && !query->gave_up)
        if (node_holds(where, query, item, at) == any) {
            *at = node->end;
            return any;
        }
    *at = node->end;
    return !any;
}

bool where_holds(const struct where *where, struct query *query, struct bytes item)
{
    size_t at = 0;
    return node_holds(where, query, item, &at);
}
