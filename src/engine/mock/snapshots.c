#include "snapshots.h"
#include "engine/mock/collections/documents.h"
#include "engine/mock/rules/fake_data.h"
#include <pthread.h>
#include <stdlib.h>

struct snapshot {
    char name[SNAPSHOT_NAME_BYTES_MAX];
    size_t name_bytes;
    int64_t wall_ms;
    struct text *text;
};

struct snapshots {
    struct documents *documents;
    pthread_mutex_t lock; /* of the rest */
    struct snapshot list[SNAPSHOTS_MAX];
    size_t count, bytes;
};

struct snapshots *snapshots_create(struct documents *documents)
{
    struct snapshots *made = calloc(1, sizeof *made);

    if (made == NULL)
        return NULL;
    made->documents = documents;
    pthread_mutex_init(&made->lock, NULL);
    return made;
}

void snapshots_destroy(struct snapshots *snapshots)
{
    if (snapshots == NULL)
        return;
    for (size_t i = 0; i < snapshots->count; i++)
        text_release(snapshots->list[i].text);
    pthread_mutex_destroy(&snapshots->lock);
    free(snapshots);
}

bool snapshot_name_is_good(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
              c == '_' || c == '.'))
            return false;
    }
    return name.size > 0 && name.size <= SNAPSHOT_NAME_BYTES_MAX && name.data[0] != '.' &&
           !bytes_equal(name, BYTES(SNAPSHOT_START));
}

/* With the lock held; null if there is none. */
static struct snapshot *find(struct snapshots *snapshots, struct bytes name)
{
    for (size_t i = 0; i < snapshots->count; i++)
        if (bytes_equal(bytes_of(snapshots->list[i].name, snapshots->list[i].name_bytes), name))
            return &snapshots->list[i];
    return NULL;
}

/* With the lock held. Takes `text` over on OK. */
static enum err put(struct snapshots *snapshots, struct bytes name, int64_t wall_ms, struct text *text)
{
    struct snapshot *place = find(snapshots, name);
    size_t others_bytes = snapshots->bytes - (place != NULL ? place->text->size : 0);

    if ((place == NULL && snapshots->count == SNAPSHOTS_MAX) ||
        text->size > SNAPSHOTS_BYTES_MAX - others_bytes)
        return ERR_FULL;
    if (place == NULL)
        place = &snapshots->list[snapshots->count++];
    else
        text_release(place->text);
    memcpy(place->name, name.data, name.size);
    place->name_bytes = name.size;
    place->wall_ms = wall_ms;
    place->text = text;
    snapshots->bytes = others_bytes + text->size;
    return OK;
}

static enum err take(struct snapshots *snapshots, struct bytes name, int64_t wall_ms, size_t bytes_max,
                     bool *was_there)
{
    struct text *text;
    uint64_t change_number;
    enum err err = documents_read_all(snapshots->documents, &text, &change_number);

    if (err != OK)
        return err;
    pthread_mutex_lock(&snapshots->lock);
    *was_there = find(snapshots, name) != NULL;
    err = text->size <= bytes_max ? put(snapshots, name, wall_ms, text) : ERR_FULL;
    pthread_mutex_unlock(&snapshots->lock);
    if (err != OK)
        text_release(text);
    return err;
}

enum err snapshots_take(struct snapshots *snapshots, struct bytes name, int64_t wall_ms, bool *was_there)
{
    return take(snapshots, name, wall_ms, SNAPSHOTS_BYTES_MAX, was_there);
}

/* With the lock held. */
static void drop(struct snapshots *snapshots, struct snapshot *place)
{
    size_t behind = (size_t)(&snapshots->list[snapshots->count] - place) - 1;

    snapshots->bytes -= place->text->size;
    text_release(place->text);
    memmove(place, place + 1, behind * sizeof *place);
    snapshots->count--;
}

/* What was there at the start is no more, even if what is there now cannot be kept. */
enum err snapshots_take_start(struct snapshots *snapshots, int64_t wall_ms)
{
    struct snapshot *place;
    bool was_there;
    enum err err = take(snapshots, BYTES(SNAPSHOT_START), wall_ms, SNAPSHOT_START_BYTES_MAX, &was_there);

    if (err == OK)
        return OK;
    pthread_mutex_lock(&snapshots->lock);
    place = find(snapshots, BYTES(SNAPSHOT_START));
    if (place != NULL)
        drop(snapshots, place);
    pthread_mutex_unlock(&snapshots->lock);
    return err;
}

enum err snapshots_restore(struct snapshots *snapshots, struct bytes name)
{
    struct buffer message = {0};
    struct snapshot *found;
    struct text *text = NULL;
    enum err err;

    pthread_mutex_lock(&snapshots->lock);
    found = find(snapshots, name);
    if (found != NULL)
        text = text_hold(found->text);
    pthread_mutex_unlock(&snapshots->lock);
    if (text == NULL)
        return ERR_MISSING;
    err = documents_reload(snapshots->documents, text_bytes(text), &message);
    text_release(text);
    buffer_fini(&message);
    return err;
}

enum err snapshots_drop(struct snapshots *snapshots, struct bytes name)
{
    struct snapshot *found;

    pthread_mutex_lock(&snapshots->lock);
    found = snapshot_name_is_good(name) ? find(snapshots, name) : NULL;
    if (found != NULL)
        drop(snapshots, found);
    pthread_mutex_unlock(&snapshots->lock);
    return found != NULL ? OK : ERR_MISSING;
}

void snapshots_list(struct snapshots *snapshots, struct buffer *json)
{
    pthread_mutex_lock(&snapshots->lock);
    buffer_append_byte(json, '[');
    for (size_t i = 0; i < snapshots->count; i++) {
        const struct snapshot *one = &snapshots->list[i];
        if (i > 0)
            buffer_append_byte(json, ',');
        buffer_append_format(json, "{\"name\":\"%.*s\",\"at\":\"", (int)one->name_bytes, one->name);
        moment_append(json, one->wall_ms);
        buffer_append_format(json, "\",\"bytes\":%zu}", one->text->size);
    }
    buffer_append_byte(json, ']');
    pthread_mutex_unlock(&snapshots->lock);
}
