/* links: nuthatch-kv nuthatch-store nuthatch-message nuthatch-base
 * Users: what their rules come to, what they may do, and that sessions learn of changes. */
#include "base/compiler.h"
#include "engine/kv/kv_acl.h"
#include "engine/kv/kv_guard.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- rules ---------------------------------------------------------------------------------------- */

/* Applies rules separated by spaces; what is wrong with the first that is refused, or null. */
static const char *apply_all(struct kv_user *user, const char *rules)
{
    while (*rules != '\0') {
        size_t size = strcspn(rules, " ");
        const char *wrong = kv_user_apply(user, bytes_of(rules, size));
        if (wrong != NULL)
            return wrong;
        rules += size + (rules[size] == ' ');
    }
    kv_user_settle(user);
    return NULL;
}

static struct kv_user *user_of(const char *rules)
{
    struct kv_user *user = kv_user_create(BYTES("u"));
    const char *wrong = apply_all(user, rules);

    if (wrong != NULL)
        fail_msg("%s: %s", rules, wrong);
    return user;
}

TEST(rules_come_to_what_redis_says_of_them)
{
    static const struct {
        const char *rules, *described;
    } cases[] = {
        {"", "user u off resetchannels -@all"},
        {"on nopass allkeys allchannels allcommands", "user u on nopass ~* &* +@all"},
        {"~a:* %R~r:* %W~w:* %RW~rw:* &ch*",
         "user u off ~a:* %R~r:* %W~w:* ~rw:* resetchannels &ch* -@all"},
        {"~a ~a %R~a %W~a ~b", "user u off ~a ~b resetchannels -@all"},
        {"%R~a %W~a", "user u off ~a resetchannels -@all"},
        {"~a resetkeys ~b allkeys", "user u off ~* resetchannels -@all"},
        {"+@all -@dangerous", "user u off resetchannels +@all -@dangerous"},
        {"+@read +get", "user u off resetchannels -@all +@read"},
        {"+GET -@string +@Read", "user u off resetchannels -@all +get -@string +@read"},
        {"+get -get", "user u off resetchannels -@all -get"},
        {"+get nocommands", "user u off resetchannels -@all"},
        {"+@read -@read +@read", "user u off resetchannels -@all +@read"},
        {"+config|GET", "user u off resetchannels -@all +config|get"},
        {"+config|get +config", "user u off resetchannels -@all +config"},
        {"+client -client|kill", "user u off resetchannels -@all +client -client|kill"},
        {"+select|0", "user u off resetchannels -@all +select|0"},
        {"+select|0 +select", "user u off resetchannels -@all +select"},
        {"+LPUSH -@list +xgroup|Create -eval +lpush",
         "user u off resetchannels -@all -@list +xgroup|create -eval +lpush"},
        {"allcommands -lpush -lpush|x +lpush", "user u off resetchannels +@all +lpush"},
        {"nopass >a", "user u off #ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb "
                      "resetchannels -@all"},
        {">a >a <a", "user u off resetchannels -@all"},
        {">a nopass", "user u off nopass resetchannels -@all"},
        {"on >a ~* &* +@all reset", "user u off sanitize-payload resetchannels -@all"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct kv_user *user = user_of(cases[i].rules);
        struct buffer text = {0};
        kv_user_describe(user, &text);
        EXPECT_TEXT(buffer_bytes(&text), bytes_of_text(cases[i].described));
        buffer_fini(&text);
        kv_user_release(user);
    }
}

TEST(a_rule_that_is_none_is_refused)
{
    static const char *const cases[] = {
        "nope",
        "+nope",
        "+@nope",
        "+",
        "-",
        "+@",
        "+get|",
        "-get|a",
        "%~a",
        "%X~a",
        "%RR~a",
        "%R",
        "%",
        "+client|nope",
        "(+get)",
        "#abc",
        "!abc",
        "<unknown",
        "+config|get|maxmemory",
        "+lpush|",
        "+xgroup|create|a",
        "+eval|a b",
        "+select|0 1",
        "+lpus",
        "-client|",
        "+|",
        "|",
        "+nope|a",
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct kv_user *user = kv_user_create(BYTES("u"));
        if (kv_user_apply(user, bytes_of_text(cases[i])) == NULL)
            fail_msg("\"%s\" was taken", cases[i]);
        kv_user_release(user);
    }
}

TEST(a_password_opens_only_to_who_is_on)
{
    struct kv_user *user = user_of("on >right >other");

    EXPECT(kv_user_opens_to(user, BYTES("right")));
    EXPECT(kv_user_opens_to(user, BYTES("other")));
    EXPECT(!kv_user_opens_to(user, BYTES("righ")));
    EXPECT(!kv_user_opens_to(user, BYTES("")));
    EXPECT(apply_all(user, "<right") == NULL);
    EXPECT(!kv_user_opens_to(user, BYTES("right")));
    EXPECT(apply_all(user, "off") == NULL);
    EXPECT(!kv_user_opens_to(user, BYTES("other")));
    EXPECT(apply_all(user, "on resetpass") == NULL);
    EXPECT(!kv_user_opens_to(user, BYTES("other")));
    EXPECT(apply_all(user, "nopass") == NULL);
    EXPECT(kv_user_opens_to(user, BYTES("anything")));
    kv_user_release(user);
}

/* ---- asking --------------------------------------------------------------------------------------- */

static uint32_t split(const char *line, struct bytes *words)
{
    uint32_t count = 0;

    while (*line != '\0') {
        size_t size = strcspn(line, " ");
        words[count++] = bytes_of(line, size);
        line += size + (line[size] == ' ');
    }
    return count;
}

TEST(a_user_may_do_what_its_rules_say_and_nothing_else)
{
    static const struct {
        const char *rules, *command;
        enum kv_denial denial;
    } cases[] = {
        {"", "get a", KV_DENIED_COMMAND},
        {"", "quit", KV_ALLOWED},
        {"", "auth a", KV_ALLOWED},
        {"+get ~*", "get a", KV_ALLOWED},
        {"+get", "get a", KV_DENIED_KEY},
        {"+get ~a*", "get abc", KV_ALLOWED},
        {"+get ~a*", "get b", KV_DENIED_KEY},
        {"+@all ~a*", "mget ab b", KV_DENIED_KEY},
        {"+@all ~a*", "mset ab b ac d", KV_ALLOWED},
        {"+@all ~a*", "mset ab b c d", KV_DENIED_KEY},
        {"+@all ~a*", "ping b", KV_ALLOWED},
        {"+@all %R~a", "get a", KV_ALLOWED},
        {"+@all %R~a", "set a 1", KV_DENIED_KEY},
        {"+@all %W~a", "set a 1", KV_ALLOWED},
        {"+@all %W~a", "set a 1 GET", KV_DENIED_KEY},
        {"+@all %W~a", "get a", KV_DENIED_KEY},
        {"+@all %W~a", "exists a", KV_ALLOWED},
        {"+@all %W~a", "incr a", KV_DENIED_KEY},
        {"+@all %R~a %W~*", "incr a", KV_DENIED_KEY}, /* one pattern must allow both */
        {"+@all %R~a %W~a", "incr a", KV_ALLOWED},
        {"+@all %R~a %W~*", "del a", KV_ALLOWED},
        {"+@all %R~a", "nh.get a", KV_ALLOWED},
        {"+@all ~a*", "nh.purge key a ab", KV_ALLOWED},
        {"+@all ~a*", "nh.purge key soft a", KV_DENIED_KEY},
        {"+@all ~a*", "nh.purge key soft", KV_DENIED_KEY},
        {"+@all ~a*", "nh.purge key a SOFT", KV_ALLOWED},
        {"+@all ~a*", "nh.purge key a b SOFT", KV_DENIED_KEY},
        {"+@all ~a*", "nh.purge prefix a soft", KV_DENIED_KEY},
        {"+@all ~a*", "nh.purge key a b", KV_DENIED_KEY},
        {"+@all ~a*", "nh.purge tag a", KV_DENIED_KEY},
        {"+@all ~*", "nh.purge tag a", KV_ALLOWED},
        {"+@read ~*", "get a", KV_ALLOWED},
        {"+@read ~*", "set a 1", KV_DENIED_COMMAND},
        {"+@all -@dangerous ~*", "flushall", KV_DENIED_COMMAND},
        {"+@all -@dangerous ~*", "config set a b", KV_DENIED_COMMAND},
        {"+@all -@dangerous ~*", "CONFIG Set a b", KV_DENIED_COMMAND},
        {"+@all -@dangerous ~*", "acl whoami", KV_ALLOWED},
        {"+@all -@dangerous ~*", "acl setuser a", KV_DENIED_COMMAND},
        {"+@all -@dangerous ~*", "client id", KV_ALLOWED},
        {"+@all -client|id", "client id", KV_DENIED_COMMAND},
        {"+@all -client|id", "client info", KV_ALLOWED},
        {"+client|id", "client id", KV_ALLOWED},
        {"+client|id", "client info", KV_DENIED_COMMAND},
        {"+client|id", "client nope", KV_DENIED_COMMAND},
        {"+client", "client nope", KV_ALLOWED},
        {"+select|0", "select 0", KV_ALLOWED},
        {"+select|0", "select 1", KV_DENIED_COMMAND},
        {"+select|0 -select", "select 0", KV_DENIED_COMMAND},
        {"+select|0 -@all", "select 0", KV_DENIED_COMMAND},
        {"+select|0 -@connection", "select 0", KV_DENIED_COMMAND},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct kv_user *user = user_of(cases[i].rules);
        struct bytes words[8], object;
        uint32_t count = split(cases[i].command, words);
        enum command_id id = command_find(DIALECT_resp, words[0]);
        if (kv_user_ask(user, id, words, count, &object) != cases[i].denial)
            fail_msg("%s: %s: wanted %d", cases[i].rules, cases[i].command, (int)cases[i].denial);
        kv_user_release(user);
    }
}

TEST(memcached_commands_are_meant_by_their_names_and_categories_too)
{
    struct bytes words[] = {BYTES("get"), BYTES("a")}, object;
    struct kv_user *user = user_of("+@read ~a");

    EXPECT_EQ(kv_user_ask(user, COMMAND_memcached_get, words, 2, &object), KV_ALLOWED);
    EXPECT_EQ(kv_user_ask(user, COMMAND_memcached_delete, words, 2, &object), KV_DENIED_COMMAND);
    EXPECT(apply_all(user, "+delete") == NULL);
    EXPECT_EQ(kv_user_ask(user, COMMAND_memcached_delete, words, 2, &object), KV_ALLOWED);
    EXPECT(apply_all(user, "resetkeys ~b") == NULL);
    EXPECT_EQ(kv_user_ask(user, COMMAND_memcached_get, words, 2, &object), KV_DENIED_KEY);
    kv_user_release(user);
}

/* ---- any rules ------------------------------------------------------------------------------------ */

static uint32_t random_state = 20260101;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % bound;
}

static void append_random_rule(struct buffer *rule)
{
    static const char *const pieces[] = {
        "+",        "-",         "@",      "+@",         "-@",        "~",          "%R~",    "%W~",
        "%RW~",     "&",         "get",    "set",        "all",       "read",       "write",  "string",
        "client",   "|id",       "|kill",  "config",     "|",         "(",          ")",      ">",
        "<",        "#",         "!",      "on",         "off",       "reset",      "*",      "?",
        "[a-",      "\\",        "nopass", "allkeys",    "resetkeys", "nocommands", "select", "|0",
        "flushall", "dangerous", "fast",   "connection", "lpush",     "eval",       "list",   "xgroup",
    };
    uint32_t count = random_below(6);

    for (uint32_t i = 0; i < count; i++)
        if (random_below(20) == 0)
            buffer_append_byte(rule, (char)random_below(256));
        else
            buffer_append(rule, bytes_of_text(pieces[random_below(COUNT_OF(pieces))]));
}

/* True if both let the same through. */
static bool are_alike(const struct kv_user *a, const struct kv_user *b)
{
    bool alike = a->is_free == b->is_free && a->first_arguments.count == b->first_arguments.count;

    for (unsigned i = 1; i < KV_PERMISSION_COUNT && alike; i++)
        alike = kv_user_permits(a, i) == kv_user_permits(b, i);
    return alike;
}

TEST(whatever_rules_are_applied_their_description_makes_the_same_user)
{
    enum { USERS = 3000, RULES = 12 };

    for (int i = 0; i < USERS; i++) {
        struct kv_user *user = kv_user_create(BYTES("u")), *again = kv_user_create(BYTES("u"));
        struct buffer text = {0}, text_again = {0};
        for (int j = 0; j < RULES; j++) {
            struct buffer rule = {0};
            struct kv_user *draft = kv_user_copy(user);
            append_random_rule(&rule);
            if (kv_user_apply(draft, buffer_bytes(&rule)) == NULL) {
                kv_user_release(user);
                user = draft;
            } else {
                kv_user_release(draft);
            }
            buffer_fini(&rule);
        }
        kv_user_settle(user);
        kv_user_describe(user, &text);
        buffer_append_byte(&text, '\0');
        if (apply_all(again, text.data + sizeof "user u " - 1) != NULL)
            fail_msg("not taken: %s", text.data);
        kv_user_describe(again, &text_again);
        buffer_append_byte(&text_again, '\0');
        EXPECT_TEXT(buffer_bytes(&text_again), buffer_bytes(&text));
        if (!are_alike(user, again))
            fail_msg("not the same: %s", text.data);
        buffer_fini(&text);
        buffer_fini(&text_again);
        kv_user_release(user);
        kv_user_release(again);
    }
}

/* ---- sessions ------------------------------------------------------------------------------------- */

static void put(struct kv_hub *hub, struct kv *from, const char *name, const char *rules)
{
    struct kv_user *user = kv_user_create(bytes_of_text(name));

    EXPECT(apply_all(user, rules) == NULL);
    pthread_mutex_lock(&hub->acl->lock);
    EXPECT_EQ(kv_acl_put(hub->acl, user), OK);
    pthread_mutex_unlock(&hub->acl->lock);
    kv_acl_tell(hub, from);
}

static unsigned guards_of(struct kv *kv, const struct session *session)
{
    unsigned guards;

    kv_begin(kv);
    guards = kv->guards | session->guards;
    kv_end(kv);
    return guards;
}

TEST(sessions_of_all_workers_learn_of_changes_and_pay_nothing_afterwards)
{
    struct kv_hub *hub;
    struct kv kvs[2];
    struct session sessions[2] = {{.id = 1}, {.id = 2}};

    EXPECT_EQ(kv_hub_create(2, NULL, NULL, &hub), OK);
    for (unsigned i = 0; i < 2; i++) {
        kvs[i] = (struct kv){.hub = hub, .number = i};
        kv_session_begin(&kvs[i], &sessions[i]);
        EXPECT(!sessions[i].is_stranger);
        EXPECT_EQ(guards_of(&kvs[i], &sessions[i]), KV_GUARDS_NONE);
    }
    put(hub, &kvs[0], "default", "on >secret ~* &* +@all");
    EXPECT_EQ(guards_of(&kvs[1], &sessions[1]), KV_GUARD_permissions); /* before the letter is read */
    kv_read_letters(&kvs[0]);
    EXPECT_EQ(guards_of(&kvs[0], &sessions[0]), KV_GUARD_permissions);
    kv_read_letters(&kvs[1]);
    for (unsigned i = 0; i < 2; i++) /* who was in stays in, with all rights */
        EXPECT_EQ(guards_of(&kvs[i], &sessions[i]), KV_GUARDS_NONE);
    kv_session_end(&kvs[1], &sessions[1]);
    kv_session_begin(&kvs[1], &sessions[1]);
    EXPECT(sessions[1].is_stranger);
    EXPECT_EQ(guards_of(&kvs[1], &sessions[1]), KV_GUARD_authentication);

    put(hub, &kvs[0], "default", "on nopass ~a &* +@all");
    kv_read_letters(&kvs[0]);
    kv_read_letters(&kvs[1]);
    EXPECT(!sessions[1].is_stranger);
    for (unsigned i = 0; i < 2; i++)
        EXPECT_EQ(guards_of(&kvs[i], &sessions[i]), KV_GUARD_permissions);
    for (unsigned i = 0; i < 2; i++)
        kv_session_end(&kvs[i], &sessions[i]);
    kv_hub_destroy(hub);
}

static unsigned cut_count;
static void count_cut(struct session *session)
{
    (void)session;
    cut_count++;
}

TEST(a_session_of_a_user_who_is_gone_is_closed)
{
    struct kv_hub *hub;
    struct kv kv;
    struct session session = {.cut = count_cut};

    EXPECT_EQ(kv_hub_create(1, NULL, NULL, &hub), OK);
    kv = (struct kv){.hub = hub};
    put(hub, &kv, "wren", "on nopass");
    kv_session_begin(&kv, &session);
    pthread_mutex_lock(&hub->acl->lock);
    kv_user_release(session.user);
    session.user = kv_user_hold(kv_acl_find(hub->acl, BYTES("wren")));
    EXPECT(kv_acl_remove(hub->acl, BYTES("wren")));
    EXPECT(!kv_acl_remove(hub->acl, BYTES("wren")));
    pthread_mutex_unlock(&hub->acl->lock);
    EXPECT_EQ(session.closing, false);
    kv_acl_tell(hub, &kv);
    kv_read_own_letters(&kv);
    EXPECT_EQ(session.closing, true);
    EXPECT_EQ(cut_count, 1);
    kv_session_end(&kv, &session);
    kv_hub_destroy(hub);
}

RUN_TESTS(TEST_ROW(rules_come_to_what_redis_says_of_them), TEST_ROW(a_rule_that_is_none_is_refused),
          TEST_ROW(a_password_opens_only_to_who_is_on),
          TEST_ROW(a_user_may_do_what_its_rules_say_and_nothing_else),
          TEST_ROW(memcached_commands_are_meant_by_their_names_and_categories_too),
          TEST_ROW(whatever_rules_are_applied_their_description_makes_the_same_user),
          TEST_ROW(sessions_of_all_workers_learn_of_changes_and_pay_nothing_afterwards),
          TEST_ROW(a_session_of_a_user_who_is_gone_is_closed))
