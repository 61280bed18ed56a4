#include "socket_ask.h"

/* Each path is looked for among all that are watched: longer lists would take long. */
static bool are_paths(const json_t *list)
{
    if (!json_is_array(list) || json_array_size(list) > SOCKET_PATHS_MAX)
        return false;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i)))
            return false;
    return true;
}

static bool has_strings(json_t *object)
{
    const char *name;
    json_t *member;

    if (!json_is_object(object))
        return false;
    json_object_foreach(object, name, member)
    {
        if (!json_is_string(member))
            return false;
    }
    return true;
}

static const char *read_member(const char *name, json_t *member, struct socket_ask *ask)
{
    if (strcmp(name, "subscribe") == 0) {
        ask->subscribe = member;
        return are_paths(member) ? NULL : "subscribe must be an array of 1000 paths at most";
    }
    if (strcmp(name, "unsubscribe") == 0) {
        ask->unsubscribe = member;
        return are_paths(member) ? NULL : "unsubscribe must be an array of 1000 paths at most";
    }
    if (strcmp(name, "after") == 0) {
        ask->after = member;
        return has_strings(member) ? NULL : "after must be an object: the id that came last, by path";
    }
    if (strcmp(name, "patch") == 0) {
        ask->wants_patches = json_is_true(member);
        return json_is_boolean(member) ? NULL : "patch must be true or false";
    }
    return "a message has subscribe, unsubscribe, patch and after, and nothing else";
}

const char *socket_ask_read(struct bytes message, struct socket_ask *ask)
{
    const char *name, *wrong = NULL;
    json_t *member;

    *ask = (struct socket_ask){.whole = json_loadb(message.data != NULL ? message.data : "", message.size,
                                                   JSON_REJECT_DUPLICATES, NULL)};
    if (!json_is_object(ask->whole))
        wrong = "a message must be a JSON object with subscribe, an array of paths, or unsubscribe";
    else
        json_object_foreach(ask->whole, name, member)
        {
            if (wrong == NULL)
                wrong = read_member(name, member, ask);
        }
    if (wrong == NULL && ask->subscribe == NULL && ask->unsubscribe == NULL)
        wrong = "a message must have subscribe or unsubscribe";
    if (wrong != NULL)
        socket_ask_fini(ask);
    return wrong;
}

void socket_ask_fini(struct socket_ask *ask)
{
    json_decref(ask->whole);
    *ask = (struct socket_ask){0};
}

bool socket_ask_after(const struct socket_ask *ask, const char *path, struct event_id *id)
{
    const json_t *text = json_object_get(ask->after, path);

    return json_is_string(text) &&
           event_id_parse(bytes_of(json_string_value(text), json_string_length(text)), id);
}
