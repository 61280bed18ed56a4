#include "body_check.h"
#include "body_pointer.h"
#include "engine/mock/json/json_text.h"

bool body_check_read(struct rules_reader *reader, yaml_node_t *node, const char *what,
                     struct body_check *check)
{
    struct rules_key keys[] = {{"pointer", NULL}, {"equals", NULL},  {"contains", NULL},
                               {"matches", NULL}, {"present", NULL}, {"sha256", NULL}};
    const struct rules_key *said;

    if (rules_is_scalar(node))
        return text_check_make(reader, node, "equals", &check->text);
    if (!rules_read_keys(reader, node, what, keys, COUNT_OF(keys)))
        return false;
    if (keys[0].value != NULL) {
        check->has_pointer = true;
        if (!rules_read_text(reader, keys[0].value, "pointer", &check->pointer))
            return false;
        if (!body_pointer_is_good(check->pointer)) {
            rules_report(reader, keys[0].value, "pointer is a JSON pointer, such as /user/name");
            return false;
        }
    }
    said = text_check_key(reader, node, what, keys + 1, COUNT_OF(keys) - 1);
    if (said == NULL)
        return false;
    if (said == &keys[1] && (check->has_pointer || !rules_is_scalar(said->value))) {
        check->equals = rules_read_json(reader, said->value);
        check->has_pointer = true; /* all of the body, if there was none */
        return check->equals != NULL;
    }
    return text_check_make(reader, said->value, said->name, &check->text);
}

void body_check_fini(struct body_check *check)
{
    text_check_fini(&check->text);
    json_decref(check->equals);
}

static bool value_holds(const struct body_check *check, const json_t *value)
{
    struct buffer text = {0};
    bool holds;

    if (value == NULL)
        return check->equals == NULL && check->text.kind == TEXT_ABSENT;
    if (check->equals != NULL)
        return json_values_are_same(value, check->equals);
    if (json_is_string(value))
        return text_check_holds(&check->text,
                                bytes_of(json_string_value(value), json_string_length(value)));
    json_text_append(&text, value);
    holds = text_check_holds(&check->text, buffer_bytes(&text));
    buffer_fini(&text);
    return holds;
}

bool body_check_holds(const struct body_check *check, struct request_view *view)
{
    if (check->has_pointer)
        return value_holds(check, body_pointer_find(request_view_json(view), check->pointer));
    if (check->text.kind == TEXT_PRESENT || check->text.kind == TEXT_ABSENT)
        return (view->body.size > 0) == (check->text.kind == TEXT_PRESENT);
    return text_check_holds(&check->text, view->body);
}
