/* config_tier.c — what stands behind `tier:` in a YAML file: the hosts alone, or a mapping of its options.
 */
#include "server/config_yaml.h"
#include "server/nearest.h"

const char *config_tier_key_of(struct bytes name)
{
    for (size_t i = 0; i < option_row_count(); i++)
        if (option_is_of_tier(option_row(i)) && bytes_equal(bytes_of_text(option_row(i)->name), name))
            return option_row(i)->key;
    return NULL;
}

static void report_unknown(struct config_reader *reader, struct bytes name)
{
    struct nearest nearest = {.wanted = name};
    struct shown shown = shown_text(name);

    for (size_t i = 0; i < option_row_count(); i++)
        if (option_is_of_tier(option_row(i)))
            nearest_consider(&nearest, option_row(i)->key);
    if (config_tier_key_of(name) != NULL)
        CONFIG_REPORT(reader, config_here(reader), "%s is called %s here", shown.text,
                      config_tier_key_of(name));
    else if (option_find_key(0, name) != NULL)
        CONFIG_REPORT(reader, config_here(reader), "%s belongs at the top of the file, not under tier",
                      shown.text);
    else if (nearest.name != NULL)
        CONFIG_REPORT(reader, config_here(reader), "unknown key %s; did you mean %s?", shown.text,
                      nearest.name);
    else
        CONFIG_REPORT(reader, config_here(reader), "%s is no key of tier; see docs/options.md", shown.text);
}

/* From a key to behind its value. */
static void read_pair(struct config_reader *reader, struct bytes name, bool seen[OPTION_COUNT_MAX])
{
    const struct option_row *row = option_find_tier_key(name);
    bool *is_seen = row != NULL ? &seen[row - option_row(0)] : NULL;

    if (row == NULL) {
        report_unknown(reader, name);
    } else if (*is_seen) {
        CONFIG_REPORT(reader, config_here(reader), "%s is there twice; keep one", row->key);
    } else {
        *is_seen = true;
        if (config_advance(reader))
            config_read_server_option(reader, row);
        return;
    }
    config_skip_pair(reader);
}

void config_read_tier(struct config_reader *reader)
{
    const struct option_row *servers = option_find_tier_key(BYTES("servers"));
    struct place here = config_here(reader);
    bool seen[OPTION_COUNT_MAX] = {0};
    struct bytes name;

    if (config_refuse_alias(reader))
        return;
    if (config_is_at(reader, YAML_SCALAR_EVENT)) {
        config_read_server_option(reader, servers);
        return;
    }
    if (!config_is_at(reader, YAML_MAPPING_START_EVENT)) {
        CONFIG_REPORT(reader, here,
                      "tier is where its hosts are, or a mapping of its options; write one "
                      "URL with commas between the hosts");
        config_skip(reader);
        return;
    }
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_MAPPING_END_EVENT);)
        if (config_read_key(reader, &name))
            read_pair(reader, name, seen);
    config_advance(reader);
    if (!seen[servers - option_row(0)] && reader->options->tier_url == NULL)
        CONFIG_REPORT(reader, here,
                      "tier has no `servers`; write servers: valkey://10.0.0.1:6379,10.0.0.2:6379");
}
