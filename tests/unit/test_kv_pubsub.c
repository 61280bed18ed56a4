/* links: nuthatch-kv nuthatch-store nuthatch-message nuthatch-base
 * Messages between two workers that the test steps through one by one, and the flags of notifications. */
#include "base/compiler.h"
#include "engine/kv/kv_notify.h"
#include "engine/kv/kv_pubsub_session.h"
#include "test.h"
#include <stdlib.h>

enum { WORKERS = 2 };

/* A session that notes what it is told. */
struct listener {
    struct session session;
    struct reply reply;
    struct buffer told; /* "message a hi " */
    int go_on_count;
};

static void note(struct reply *reply, const struct outcome *outcome)
{
    struct listener *listener = CONTAINER_OF(reply, struct listener, reply);

    if (outcome->kind == OUTCOME_value) {
        buffer_append(&listener->told, outcome->bytes);
        buffer_append_byte(&listener->told, ' ');
    }
}

static struct reply *push_begin(struct session *session)
{
    return &CONTAINER_OF(session, struct listener, session)->reply;
}

static void push_end(struct session *session) { (void)session; }

static void go_on(struct session *session)
{
    CONTAINER_OF(session, struct listener, session)->go_on_count++;
}

struct fixture {
    struct kv_hub *hub;
    struct kv kvs[WORKERS];
    struct counters counters[WORKERS];
    struct listener listeners[WORKERS];
};

static void setup(struct fixture *fixture)
{
    *fixture = (struct fixture){0};
    EXPECT_EQ(kv_hub_create(WORKERS, NULL, NULL, &fixture->hub), OK);
    for (unsigned i = 0; i < WORKERS; i++) {
        fixture->kvs[i] = (struct kv){.hub = fixture->hub, .number = i, .counters = &fixture->counters[i]};
        fixture->listeners[i].session =
            (struct session){.push_begin = push_begin, .push_end = push_end, .go_on = go_on};
        fixture->listeners[i].reply.say = note;
    }
}

static void teardown(struct fixture *fixture)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        kv_session_end(&fixture->kvs[i], &fixture->listeners[i].session);
        buffer_fini(&fixture->listeners[i].told);
    }
    for (int kind = 0; kind < KV_TOPIC_KINDS; kind++)
        EXPECT_EQ(kv_pubsub_table_topics(fixture->hub->topics, kind), 0);
    kv_hub_destroy(fixture->hub);
}

static void subscribe(struct fixture *fixture, unsigned worker, enum kv_topic_kind kind, const char *name)
{
    EXPECT_EQ(kv_subscription_add(&fixture->kvs[worker], &fixture->listeners[worker].session, kind,
                                  bytes_of_text(name)),
              OK);
}

static uint64_t publish(struct fixture *fixture, unsigned worker, const char *channel, struct bytes text)
{
    uint64_t count;
    EXPECT_EQ(kv_publish_message(&fixture->kvs[worker], &fixture->listeners[worker].session,
                                 KV_TOPIC_CHANNEL, bytes_of_text(channel), text, &count),
              OK);
    return count;
}

static void expect_told(struct fixture *fixture, unsigned worker, const char *told)
{
    struct buffer *buffer = &fixture->listeners[worker].told;

    kv_read_letters(&fixture->kvs[worker]);
    EXPECT_TEXT(buffer_bytes(buffer), bytes_of_text(told));
    buffer_clear(buffer);
}

TEST(a_message_is_for_who_subscribed_before_it_and_does_so_still)
{
    struct fixture fixture;

    setup(&fixture);
    subscribe(&fixture, 1, KV_TOPIC_CHANNEL, "a");
    EXPECT_EQ(publish(&fixture, 0, "a", BYTES("1")), 1);
    /* The message has not been read: this is too late for it. */
    subscribe(&fixture, 1, KV_TOPIC_PATTERN, "*");
    expect_told(&fixture, 1, "message a 1 ");
    EXPECT_EQ(publish(&fixture, 0, "a", BYTES("2")), 2);
    expect_told(&fixture, 1, "message a 2 pmessage * a 2 ");
    EXPECT_EQ(publish(&fixture, 0, "a", BYTES("3")), 2);
    kv_subscription_end(&fixture.kvs[1], &fixture.listeners[1].session, KV_TOPIC_CHANNEL, BYTES("a"));
    expect_told(&fixture, 1, "pmessage * a 3 ");
    EXPECT_EQ(publish(&fixture, 0, "b", BYTES("4")), 1);
    kv_session_end(&fixture.kvs[1], &fixture.listeners[1].session);
    expect_told(&fixture, 1, "");
    EXPECT_EQ(publish(&fixture, 0, "b", BYTES("5")), 0);
    teardown(&fixture);
}

TEST(a_message_that_nobody_reads_any_more_goes_with_the_hub)
{
    struct fixture fixture;

    setup(&fixture);
    subscribe(&fixture, 0, KV_TOPIC_CHANNEL, "a");
    subscribe(&fixture, 1, KV_TOPIC_CHANNEL, "a");
    EXPECT_EQ(publish(&fixture, 0, "a", BYTES("1")), 2);
    expect_told(&fixture, 0, "message a 1 ");
    teardown(&fixture);
}

TEST(who_publishes_more_than_can_be_told_waits_until_it_is_told)
{
    struct fixture fixture;
    struct bytes text = {calloc(1, 1 << 20), 1 << 20};
    struct session *publisher;
    int count = 0;

    setup(&fixture);
    publisher = &fixture.listeners[0].session;
    subscribe(&fixture, 1, KV_TOPIC_CHANNEL, "a");
    while (!publisher->must_wait && count < 100) {
        publish(&fixture, 0, "a", text);
        count++;
    }
    EXPECT(count > 1 && count < 20);
    kv_read_letters(&fixture.kvs[0]); /* called for another reason */
    EXPECT(publisher->must_wait);
    EXPECT_EQ(fixture.hub->mailboxes[0].is_called, false);
    kv_read_letters(&fixture.kvs[1]);
    EXPECT_EQ(fixture.hub->mailboxes[0].is_called, true);
    EXPECT_EQ(fixture.listeners[0].go_on_count, 0);
    kv_read_letters(&fixture.kvs[0]);
    EXPECT_EQ(fixture.listeners[0].go_on_count, 1);
    EXPECT(!publisher->must_wait);
    /* One that ends while it waits is not told to go on. */
    while (!publisher->must_wait)
        publish(&fixture, 0, "a", text);
    kv_session_end(&fixture.kvs[0], publisher);
    kv_read_letters(&fixture.kvs[1]);
    kv_read_letters(&fixture.kvs[0]);
    EXPECT_EQ(fixture.listeners[0].go_on_count, 1);
    free((char *)(uintptr_t)text.data);
    teardown(&fixture);
}

TEST(a_worker_that_tells_itself_much_does_not_wait_for_itself)
{
    struct fixture fixture;
    struct bytes text = {calloc(1, 4 << 20), 4 << 20};

    setup(&fixture);
    subscribe(&fixture, 0, KV_TOPIC_CHANNEL, "a");
    for (int i = 0; i < 4; i++)
        publish(&fixture, 0, "a", text);
    EXPECT(!fixture.listeners[0].session.must_wait);
    kv_read_own_letters(&fixture.kvs[0]);
    EXPECT_EQ(atomic_load(&fixture.hub->mailboxes[0].untold_bytes), 0);
    free((char *)(uintptr_t)text.data);
    teardown(&fixture);
}

/* ---- notifications ----------------------------------------------------------------------------- */

TEST(flags_are_read_and_told_as_redis_does)
{
    static const struct {
        const char *text, *told;
    } cases[] = {
        {"", ""},       {"KEA", "AKE"}, {"Kg$lshzxetdmn", "AKm"}, {"KE$n", "$nKE"},
        {"AKm", "AKm"}, {"g", "g"},     {"xeK", "xeK"},           {"EEEE", "E"},
    };
    char told[KV_NOTIFY_TEXT_BYTES];
    uint32_t flags = 0;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        EXPECT(kv_notify_parse(bytes_of_text(cases[i].text), &flags));
        EXPECT_TEXT(bytes_of(told, kv_notify_format(flags, told)), bytes_of_text(cases[i].told));
    }
    flags = 7;
    EXPECT(!kv_notify_parse(BYTES("KQ"), &flags));
    EXPECT(!kv_notify_parse(BYTES("K\0"), &flags));
    EXPECT_EQ(flags, 7);
}

TEST(flags_count_as_a_listener_only_while_something_is_wanted)
{
    struct fixture fixture;
    struct kv_call call;
    static const struct {
        const char *text;
        uint32_t listener_count;
    } steps[] = {{"KEA", 1}, {"K$", 1}, {"A", 0}, {"KE", 0}, {"Eg", 1}, {"", 0}};
    uint32_t flags;

    setup(&fixture);
    call = (struct kv_call){.kv = &fixture.kvs[0]};
    kv_begin(&fixture.kvs[0]);
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        EXPECT(kv_notify_parse(bytes_of_text(steps[i].text), &flags));
        kv_notify_set(&call, flags);
        EXPECT_EQ(kv_notify_flags(fixture.hub), flags);
        EXPECT_EQ(atomic_load(&fixture.hub->listener_count), steps[i].listener_count);
    }
    kv_end(&fixture.kvs[0]);
    teardown(&fixture);
}

TEST(keys_that_leave_are_told_and_too_many_at_once_are_counted_as_lost)
{
    enum { KEYS = 100000, KEY_BYTES = 100 };
    struct fixture fixture;
    char key[KEY_BYTES] = {0};
    uint32_t flags;
    uint64_t lost_count;

    setup(&fixture);
    EXPECT(kv_notify_parse(BYTES("Ee"), &flags));
    kv_notify_begin(fixture.hub, flags);
    kv_notify_dropped(fixture.hub, (nh_key){"k", 1, 0}, KV_EVENT_evicted); /* nobody subscribes */
    subscribe(&fixture, 0, KV_TOPIC_CHANNEL, "__keyevent@3__:evicted");
    kv_notify_dropped(fixture.hub, (nh_key){"gateway's", 9, 256}, KV_EVENT_evicted);
    kv_notify_dropped(fixture.hub, (nh_key){"k", 1, 3}, KV_EVENT_expired); /* not asked for */
    kv_notify_dropped(fixture.hub, (nh_key){"k", 1, 3}, KV_EVENT_evicted);
    expect_told(&fixture, 0, "message __keyevent@3__:evicted k ");
    for (int i = 0; i < KEYS; i++)
        kv_notify_dropped(fixture.hub, (nh_key){key, KEY_BYTES, 3}, KV_EVENT_evicted);
    kv_read_letters(&fixture.kvs[0]);
    lost_count = counters_read(&fixture.counters[0], METRIC_notifications_lost);
    EXPECT(lost_count > KEYS / 2 && lost_count < KEYS);
    EXPECT_EQ(fixture.listeners[0].told.size,
              (KEYS - lost_count) * (strlen("message __keyevent@3__:evicted  ") + KEY_BYTES));
    EXPECT_EQ(atomic_load(&fixture.hub->notifications.waiting_bytes), 0);
    teardown(&fixture);
}

TEST(keys_that_leave_are_not_told_to_workers_that_have_much_to_tell)
{
    struct fixture fixture;
    struct bytes text = {calloc(1, 16 << 20), 16 << 20};
    uint32_t flags;

    setup(&fixture);
    EXPECT(kv_notify_parse(BYTES("Ee"), &flags));
    kv_notify_begin(fixture.hub, flags);
    subscribe(&fixture, 1, KV_TOPIC_PATTERN, "*");
    publish(&fixture, 0, "a", text);
    kv_notify_dropped(fixture.hub, (nh_key){"k", 1, 3}, KV_EVENT_evicted);
    kv_read_letters(&fixture.kvs[0]);
    EXPECT_EQ(counters_read(&fixture.counters[0], METRIC_notifications_lost), 1);
    kv_read_letters(&fixture.kvs[1]);
    buffer_clear(&fixture.listeners[1].told);
    kv_notify_dropped(fixture.hub, (nh_key){"k", 1, 3}, KV_EVENT_evicted);
    kv_read_letters(&fixture.kvs[0]);
    expect_told(&fixture, 1, "pmessage * __keyevent@3__:evicted k ");
    free((char *)(uintptr_t)text.data);
    teardown(&fixture);
}

RUN_TESTS(TEST_ROW(keys_that_leave_are_not_told_to_workers_that_have_much_to_tell),
          TEST_ROW(a_message_is_for_who_subscribed_before_it_and_does_so_still),
          TEST_ROW(a_message_that_nobody_reads_any_more_goes_with_the_hub),
          TEST_ROW(who_publishes_more_than_can_be_told_waits_until_it_is_told),
          TEST_ROW(a_worker_that_tells_itself_much_does_not_wait_for_itself),
          TEST_ROW(flags_are_read_and_told_as_redis_does),
          TEST_ROW(flags_count_as_a_listener_only_while_something_is_wanted),
          TEST_ROW(keys_that_leave_are_told_and_too_many_at_once_are_counted_as_lost))
