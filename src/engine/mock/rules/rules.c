#include "rules.h"
#include <stdlib.h>

enum {
    KEY_NAME = SHAPE_KEYS,
    KEY_MATCH,
    KEY_SCENARIO,
    KEY_ANSWER,
    KEY_EVENTS,
    KEY_CHANGES,
    KEY_WEBSOCKET,
    KEY_THEN,
    RULE_KEYS
};

/* ---- scenarios ----------------------------------------------------------------------------------- */

static int find_scenario(struct rules *rules, struct bytes name)
{
    struct scenario *grown;

    for (size_t i = 0; i < rules->scenario_count; i++)
        if (bytes_equal(rules->scenarios[i].name, name))
            return (int)i;
    if (rules->scenario_count == SCENARIOS_MAX)
        return -1;
    grown = realloc(rules->scenarios, (rules->scenario_count + 1) * sizeof *grown);
    if (grown == NULL)
        return -1;
    rules->scenarios = grown;
    grown[rules->scenario_count] = (struct scenario){.name = name, .state_count = 1};
    grown[rules->scenario_count].states[0] = BYTES("Started");
    return (int)rules->scenario_count++;
}

static int find_state(struct scenario *scenario, struct bytes name)
{
    for (size_t i = 0; i < scenario->state_count; i++)
        if (bytes_equal(scenario->states[i], name))
            return (int)i;
    if (scenario->state_count == STATES_MAX)
        return -1;
    scenario->states[scenario->state_count] = name;
    return (int)scenario->state_count++;
}

static bool read_state(struct rules_reader *reader, const yaml_node_t *node, const char *what,
                       struct scenario *scenario, int *state)
{
    struct bytes name;

    if (node == NULL)
        return true;
    if (!rules_read_text(reader, node, what, &name))
        return false;
    *state = find_state(scenario, name);
    if (*state < 0)
        rules_report(reader, node, "a scenario has at most %d states", STATES_MAX);
    return *state >= 0;
}

static bool read_scenario(struct rules *rules, struct rules_reader *reader, yaml_node_t *node,
                          struct rule *rule)
{
    struct rules_key keys[] = {{"name", NULL}, {"state", NULL}, {"next", NULL}};
    struct bytes name;

    if (!rules_read_keys(reader, node, "scenario", keys, COUNT_OF(keys)))
        return false;
    if (keys[0].value == NULL || (keys[1].value == NULL && keys[2].value == NULL)) {
        rules_report(reader, node,
                     "scenario needs a name, and state (which is required) or next (which it "
                     "goes to), or both; it begins as Started");
        return false;
    }
    if (!rules_read_text(reader, keys[0].value, "name", &name))
        return false;
    rule->scenario = find_scenario(rules, name);
    if (rule->scenario < 0) {
        rules_report(reader, node, "at most %d scenarios", SCENARIOS_MAX);
        return false;
    }
    return read_state(reader, keys[1].value, "state", &rules->scenarios[rule->scenario], &rule->state) &&
           read_state(reader, keys[2].value, "next", &rules->scenarios[rule->scenario], &rule->next);
}

/* ---- rules --------------------------------------------------------------------------------------- */

static bool read_answers(struct rules *rules, struct rules_reader *reader, yaml_node_t *node,
                         struct rule *rule)
{
    struct template_scope scope = {.path = rule->matcher.has_path ? &rule->matcher.path : NULL,
                                   .counters = &rules->counters};
    size_t count = rules_item_count(node);
    bool is_good = true;

    if (count == 0 || count > 1000) {
        rules_report(reader, node, "answer is a mapping, or a list of 1 to 1000 of them");
        return false;
    }
    rule->answers = calloc(count, sizeof *rule->answers);
    if (rule->answers == NULL) {
        reader->no_memory = true;
        return false;
    }
    for (size_t i = 0; i < count; i++)
        is_good &= rule_answer_read(reader, rules_item(reader, node, i), &scope,
                                    &rule->answers[rule->answer_count++]);
    return is_good;
}

static bool read_events(struct rules *rules, struct rules_reader *reader, yaml_node_t *node,
                        struct rule *rule)
{
    struct template_scope scope = {.path = rule->matcher.has_path ? &rule->matcher.path : NULL,
                                   .counters = &rules->counters};

    if (rule->answer_count == 0)
        return rule_events_read(reader, node, &scope, rule->cycles, &rule->events);
    rules_report(reader, node, "a rule has an answer or events, not both");
    return false;
}

static bool read_changes(struct rules_reader *reader, const yaml_node_t *node, struct rule *rule)
{
    if (!rules_read_text(reader, node, "changes", &rule->changes))
        return false;
    if (rule->changes.size > 0 && rule->answer_count == 0 && rule->events.count == 0)
        return true;
    rules_report(reader, node,
                 "changes is the name of a collection, or \"*\", in a rule without answer or "
                 "events");
    return false;
}

static bool read_websocket(struct rules *rules, struct rules_reader *reader, yaml_node_t *node,
                           struct rule *rule)
{
    struct template_scope scope = {.path = rule->matcher.has_path ? &rule->matcher.path : NULL,
                                   .counters = &rules->counters};

    if (rule->answer_count == 0 && rule->events.count == 0 && rule->changes.size == 0)
        return rule_socket_read(reader, node, &scope, rule->cycles, &rule->socket);
    rules_report(reader, node,
                 "a websocket stands in a rule without answer, events or changes; its own "
                 "changes stand in it");
    return false;
}

static bool read_then(struct rules_reader *reader, const yaml_node_t *node, struct rule *rule)
{
    struct bytes word;

    if (!rules_read_text(reader, node, "then", &word))
        return false;
    rule->cycles = bytes_equal(word, BYTES("cycle"));
    if (rule->cycles || bytes_equal(word, BYTES("last")))
        return true;
    rules_report(reader, node,
                 "then is last (the last answer again, or the end of events or messages) or cycle (from "
                 "the first on)");
    return false;
}

bool rules_own(struct rules *rules, char *text)
{
    char **names = realloc(rules->names, (rules->name_count + 1) * sizeof *names);

    if (names == NULL) {
        free(text);
        return false;
    }
    rules->names = names;
    names[rules->name_count++] = text;
    return true;
}

static bool name_by_place(struct rules *rules, struct rules_reader *reader, const yaml_node_t *node,
                          struct rule *rule)
{
    const char *slash = strrchr(reader->path, '/');
    char *name = NULL;

    if (asprintf(&name, "%s:%zu", slash != NULL ? slash + 1 : reader->path, node->start_mark.line + 1) <
            0 ||
        !rules_own(rules, name)) {
        reader->no_memory = true;
        return false;
    }
    rule->name = bytes_of_text(name);
    return true;
}

static bool read_rule(struct rules *rules, struct rules_reader *reader, yaml_node_t *node,
                      const struct shape *fallback, struct rule *rule)
{
    struct rules_key keys[RULE_KEYS] = {SHAPE_KEY_NAMES,
                                        [KEY_NAME] = {"name", NULL},
                                        [KEY_MATCH] = {"match", NULL},
                                        [KEY_SCENARIO] = {"scenario", NULL},
                                        [KEY_ANSWER] = {"answer", NULL},
                                        [KEY_EVENTS] = {"events", NULL},
                                        [KEY_CHANGES] = {"changes", NULL},
                                        [KEY_WEBSOCKET] = {"websocket", NULL},
                                        [KEY_THEN] = {"then", NULL}};
    bool is_good;

    *rule = (struct rule){.scenario = -1, .state = -1, .next = -1};
    if (!rules_read_keys(reader, node, "a rule", keys, COUNT_OF(keys)))
        return false;
    is_good = keys[KEY_NAME].value != NULL
                  ? rules_read_text(reader, keys[KEY_NAME].value, "name", &rule->name)
                  : name_by_place(rules, reader, node, rule);
    if (keys[KEY_MATCH].value != NULL)
        is_good &= matcher_read(reader, keys[KEY_MATCH].value, "match", &rule->matcher);
    if (keys[KEY_SCENARIO].value != NULL)
        is_good &= read_scenario(rules, reader, keys[KEY_SCENARIO].value, rule);
    if (keys[KEY_ANSWER].value != NULL)
        is_good &= read_answers(rules, reader, keys[KEY_ANSWER].value, rule);
    if (keys[KEY_THEN].value != NULL)
        is_good &= read_then(reader, keys[KEY_THEN].value, rule);
    if (keys[KEY_EVENTS].value != NULL)
        is_good &= read_events(rules, reader, keys[KEY_EVENTS].value, rule);
    if (keys[KEY_CHANGES].value != NULL)
        is_good &= read_changes(reader, keys[KEY_CHANGES].value, rule);
    if (keys[KEY_WEBSOCKET].value != NULL)
        is_good &= read_websocket(rules, reader, keys[KEY_WEBSOCKET].value, rule);
    return shape_read(reader, keys, fallback, &rule->shape, &rules->limit_count) && is_good;
}

static bool read_list(struct rules *rules, struct rules_reader *reader, yaml_node_t *node,
                      const struct shape *fallback)
{
    size_t count = rules_item_count(node);
    struct rule *grown;
    bool is_good = true;

    if (!rules_is_list(node) || rules->count + count > RULES_MAX) {
        rules_report(reader, node, "rules is a list of rules, at most %d in all", RULES_MAX);
        return false;
    }
    grown = realloc(rules->rules, (rules->count + count + 1) * sizeof *grown);
    if (grown == NULL) {
        reader->no_memory = true;
        return false;
    }
    rules->rules = grown;
    for (size_t i = 0; i < count; i++)
        is_good &=
            read_rule(rules, reader, rules_item(reader, node, i), fallback, &rules->rules[rules->count++]);
    return is_good;
}

static void read_top(struct rules *rules, struct rules_reader *reader)
{
    struct rules_key keys[] = {SHAPE_KEY_NAMES, {"rules", NULL}};
    yaml_node_t *top = rules_reader_top(reader);
    struct shape all;
    bool says_all = false;

    if (top == NULL) {
        buffer_append_format(reader->message, "%s:1:1: the file is empty; it needs `rules:`, a list\n",
                             reader->path);
        reader->problem_count++;
        return;
    }
    if (!rules_read_keys(reader, top, "a rules file", keys, COUNT_OF(keys)))
        return;
    for (size_t i = 0; i < SHAPE_KEYS; i++)
        says_all |= keys[i].value != NULL;
    shape_read(reader, keys, &(struct shape){0}, &all, &rules->limit_count);
    if (keys[SHAPE_KEYS].value != NULL)
        read_list(rules, reader, keys[SHAPE_KEYS].value, &all);
    else if (!says_all)
        rules_report(reader, top, "nothing is said; add `rules:`, a list");
    if (says_all) {
        shape_fini(&rules->rest);
        rules->rest = all;
    } else {
        shape_fini(&all);
    }
}

enum err rules_read(struct rules *rules, const char *path, struct bytes text, struct buffer *message)
{
    struct rules_reader *grown, *reader;
    enum err err;

    if (rules->reader_count == RULES_FILES_MAX) {
        buffer_append_format(message, "%s: at most %d rules files\n", path, RULES_FILES_MAX);
        return ERR_SYNTAX;
    }
    grown = realloc(rules->readers, (rules->reader_count + 1) * sizeof *grown);
    if (grown == NULL)
        return ERR_NO_MEMORY;
    rules->readers = grown;
    reader = &grown[rules->reader_count];
    err = rules_reader_init(reader, path, text, message);
    if (err != OK)
        return err;
    rules->reader_count++;
    read_top(rules, reader);
    if (reader->no_memory)
        return ERR_NO_MEMORY;
    if (reader->problem_count > RULES_PROBLEMS_MAX)
        buffer_append_format(message, "%s: and %u more problems\n", path,
                             reader->problem_count - RULES_PROBLEMS_MAX);
    return reader->problem_count == 0 ? OK : ERR_SYNTAX;
}

void rules_fini(struct rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        struct rule *rule = &rules->rules[i];
        for (size_t j = 0; j < rule->answer_count; j++)
            rule_answer_fini(&rule->answers[j]);
        free(rule->answers);
        rule_events_fini(&rule->events);
        rule_socket_fini(&rule->socket);
        matcher_fini(&rule->matcher);
        shape_fini(&rule->shape);
    }
    for (size_t i = 0; i < rules->name_count; i++)
        free(rules->names[i]);
    for (size_t i = 0; i < rules->reader_count; i++)
        rules_reader_fini(&rules->readers[i]);
    free(rules->rules);
    free(rules->names);
    free(rules->readers);
    free(rules->scenarios);
    free(rules->counters.names);
    shape_fini(&rules->rest);
}

void rules_list_files(const struct rules *rules, struct buffer *paths)
{
    for (size_t i = 0; i < rules->reader_count; i++) {
        buffer_append(paths, bytes_of_text(rules->readers[i].path));
        buffer_append_byte(paths, '\0');
        buffer_append(paths, buffer_bytes(&rules->readers[i].files));
    }
}
