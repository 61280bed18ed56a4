#include "server/live_channels.h"
#include <stdlib.h>

struct live_channel {
    struct kv *kv;
    struct live_follower *follower;
    size_t name_size;
    char name[];
};

static void tell(void *owner, struct bytes message)
{
    const struct live_channel *channel = owner;
    struct bytes name = bytes_of(channel->name, channel->name_size);

    kv_gate_enter(&channel->kv->hub->gate, channel->kv->number);
    kv_tell_message(channel->kv, KV_TOPIC_CHANNEL, name, name, message);
    kv_gate_leave(&channel->kv->hub->gate, channel->kv->number);
}

/* The first gateway that has the path; null: it is a channel like others. */
static struct live_worker *find(const struct worker *worker, struct bytes path)
{
    for (size_t i = 0; i < worker->role_count; i++)
        if (worker->lives[i] != NULL && live_may_follow(worker->lives[i], path))
            return worker->lives[i];
    return NULL;
}

static void *begins(struct kv *kv, struct bytes name)
{
    struct bytes path = bytes_after(name, kv->source->prefix.size);
    struct live_worker *live = find(kv->source_state, path);
    struct live_channel *channel = live != NULL ? malloc(sizeof *channel + name.size) : NULL;

    if (channel == NULL)
        return NULL;
    *channel = (struct live_channel){.kv = kv, .name_size = name.size};
    memcpy(channel->name, name.data, name.size);
    channel->follower = live_follow(live, path, tell, channel);
    if (channel->follower == NULL) {
        free(channel);
        return NULL;
    }
    return channel;
}

static void ends(struct kv *kv, void *begun)
{
    struct live_channel *channel = begun;

    (void)kv;
    if (channel == NULL)
        return;
    live_unfollow(channel->follower);
    free(channel);
}

void live_channels_begin(struct worker *worker)
{
    static const struct kv_channel_source source = {
        .prefix = BYTES_INIT("nuthatch:live:"), .begins = begins, .ends = ends};

    worker->kv.source = &source;
    worker->kv.source_state = worker;
}
