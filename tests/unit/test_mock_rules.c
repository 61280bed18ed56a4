/* links: nuthatch-mock nuthatch-net nuthatch-message nuthatch-base */
/* Rules: what files may say and how they are refused, which rule is meant, what templates make, and that
 * the same seed makes the same. No loop, no clock. */
#include "engine/mock/rules/fake_data.h"
#include "engine/mock/rules/rules_state.h"
#include "test.h"
#include <string.h>

struct world {
    struct rules rules;
    struct rules_state *state;
    struct buffer message, text;
    struct path_values values;
    struct http_field fields[4];
    struct http_request request;
    struct request_view view;
    int rule;
};

static enum err read_text(struct world *world, const char *text)
{
    *world = (struct world){0};
    return rules_read(&world->rules, "r.yaml", bytes_of_text(text), &world->message);
}

static void begin(struct world *world, const char *text, uint64_t seed)
{
    if (read_text(world, text) != OK)
        fail_msg("%.*s", BYTES_PRINTF(buffer_bytes(&world->message)));
    world->state = rules_state_create(&world->rules, seed);
    EXPECT(world->state != NULL);
}

static void end(struct world *world)
{
    rules_state_destroy(world->state);
    rules_fini(&world->rules);
    request_view_fini(&world->view);
    path_values_fini(&world->values);
    buffer_fini(&world->message);
    buffer_fini(&world->text);
}

/* Which rule "METHOD target" with `body` meets; -1: none. */
static int ask(struct world *world, const char *line, const char *body)
{
    const char *space = strchr(line, ' '), *question = strchr(line, '?');

    request_view_fini(&world->view);
    world->request = (struct http_request){.method_name = bytes_of(line, (size_t)(space - line)),
                                           .path = bytes_of_text(space + 1),
                                           .fields = {world->fields, 1}};
    world->request.method = http_method_find(world->request.method_name);
    world->fields[0] = (struct http_field){HTTP_HEADER_OTHER, BYTES("X-Key"), BYTES("abc")};
    if (question != NULL) {
        world->request.path.size = (size_t)(question - space - 1);
        world->request.query = bytes_of_text(question + 1);
        world->request.has_query = true;
    }
    world->view = (struct request_view){.request = &world->request, .body = bytes_of_text(body)};
    world->rule = rules_state_decide(world->state, &world->view, &world->values);
    return world->rule;
}

/* What the first step of the reply to `text` says. */
static struct bytes reply(struct world *world, const char *text)
{
    struct random_source random = rules_state_random(world->state, 0);
    struct request_view message = {.request = &world->request, .body = bytes_of_text(text)};
    const struct socket_script *script = rule_socket_reply(&world->rules.rules[0].socket, &message);
    struct template_facts facts = {.view = &world->view, .message = &message, .random = &random};

    buffer_clear(&world->text);
    if (script != NULL)
        EXPECT(template_render(&script->steps[0].text, &facts, &world->text));
    request_view_fini(&message);
    return buffer_bytes(&world->text);
}

static uint64_t count(void *owner, size_t counter)
{
    struct world *world = owner;
    return rules_state_count(world->state, world->rule, counter);
}

/* The field lines and the body of the answer to the request that was asked about last. */
static struct bytes answer(struct world *world)
{
    struct random_source random = rules_state_random(world->state, world->rule);
    struct template_facts facts = {.view = &world->view,
                                   .path_values = &world->values,
                                   .now = {1, INT64_C(1764446400123)},
                                   .random = &random,
                                   .count = count,
                                   .owner = world};

    buffer_clear(&world->text);
    EXPECT(rule_answer_render(rules_state_answer(world->state, world->rule), &facts, &world->text,
                              &world->text));
    return buffer_bytes(&world->text);
}

TEST(a_mistake_is_refused_with_its_line_and_column_and_what_was_expected)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "r.yaml:1:1: the file is empty"},
        {"rules: [", "r.yaml:2:1: not YAML"},
        {"rulez: []", "r.yaml:1:1: a rules file has no rulez; it may have latency, bandwidth"},
        {"rules: {}", "r.yaml:1:8: rules is a list"},
        {"rules:\n- mach: {}", "r.yaml:2:3: a rule has no mach"},
        {"rules:\n- match: {path: users}", "r.yaml:2:17: path begins with a slash"},
        {"rules:\n- match: {path: '/{a}/{a}'}", "path: each name once"},
        {"rules:\n- match: {path: '/{a*}/b'}", "{name*} takes the rest"},
        {"rules:\n- match: {method: get}", "method is written in capitals"},
        {"rules:\n- match: {query: {a: {matches: '('}}}", "matches: not a pattern"},
        {"rules:\n- match: {query: {a: {equals: 1, contains: 2}}}", "not two"},
        {"rules:\n- match: {body: {pointer: a, equals: 1}}", "pointer is a JSON pointer"},
        {"rules:\n- answer: {status: 99}", "status is a whole number from 200 to 599"},
        {"rules:\n- answer: {status: 204, text: x}", "has no body"},
        {"rules:\n- answer: {json: 1, text: x}", "one of json, text and file"},
        {"rules:\n- answer: {file: /nowhere/at/all}", "file: cannot read /nowhere/at/all: No such file"},
        {"rules:\n- answer: {headers: {Content-Length: 1}}", "belongs to the connection"},
        {"rules:\n- answer: {headers: {A: \"b\\r\\nC: d\"}}", "no line ends"},
        {"rules:\n- answer: {text: '{{random.nme}}'}",
         "r.yaml:2:18: {{random.nme}}: there is no such word"},
        {"rules:\n- answer: {text: '{{now'}", "a {{ without }}"},
        {"rules:\n- answer: {text: '{{request.path.id}}'}", "the rule's path has no such {name}"},
        {"rules:\n- answer: {text: '{{random.int 6 1}}'}", "the lowest and the highest"},
        {"rules:\n- answer: {text: '{{random.date 2020-02-30}}'}", "the first and the last day"},
        {"rules:\n- answer: {text: '{{now | upper}}'}", "the filters are"},
        {"rules:\n- answer: {text: '{{random.uuid 1}}'}", "too many words"},
        {"rules:\n- answer: {json: {a: 1, a: 2}}", "a name twice"},
        {"rules:\n- then: never", "then is last"},
        {"rules:\n- {then: cycle, events: [{data: a}]}", "events that begin again take time"},
        {"rules:\n- {changes: a, answer: {text: b}}", "changes is the name of a collection"},
        {"rules:\n- {events: [{event: a}]}", "an event has data or json"},
        {"rules:\n- {answer: {status: 200}, events: [{data: a}]}", "an answer or events, not both"},
        {"rules:\n- scenario: {state: a}", "scenario needs a name"},
        {"rules:\n- {answer: {status: 200}, websocket: {}}", "a websocket stands in a rule without answer"},
        {"rules:\n- websocket: yes", "r.yaml:2:14: websocket is a mapping"},
        {"rules:\n- websocket: {mesages: []}",
         "r.yaml:2:15: websocket has no mesages; it may have protocols"},
        {"rules:\n- websocket: {messages: []}",
         "r.yaml:2:25: messages is a message, or a list of 1 to 10000"},
        {"rules:\n- websocket: {messages: {after: 1s}}", "a message has text, json, binary, or close, one"},
        {"rules:\n- websocket: {messages: {text: a, json: a}}", "one of them"},
        {"rules:\n- websocket: {messages: {binary: AQI}}", "r.yaml:2:34: binary is base64"},
        {"rules:\n- websocket: {messages: {binary: 'AQ_D'}}", "binary is base64"},
        {"rules:\n- websocket: {messages: {echo: true}}", "echo is true, and only in replies"},
        {"rules:\n- websocket: {messages: {text: '{{message}}'}}",
         "only the replies of a websocket have a message"},
        {"rules:\n- answer: {text: '{{message /a}}'}", "only the replies of a websocket have a message"},
        {"rules:\n- websocket: {messages: {close: 1005}}",
         "close: 1005 is no code that an endpoint may say"},
        {"rules:\n- websocket: {messages: {close: 5000}}", "close is a whole number from 1000 to 4999"},
        {"rules:\n- websocket: {messages: {close: {reason: a}}}", "close is a code, such as 1000"},
        {"rules:\n- websocket: {messages: [{close: 1000}, {text: a}]}",
         "r.yaml:2:26: a close is the last message"},
        {"rules:\n- {then: cycle, websocket: {messages: {after: 1s, close: 1000}}}",
         "a close is the last message"},
        {"rules:\n- {then: cycle, websocket: {messages: {text: a}}}",
         "messages that begin again take time"},
        {"rules:\n- {then: cycle, websocket: {}}", "then: cycle is about messages"},
        {"rules:\n- websocket: {replies: {match: a}}", "a reply needs `send:`"},
        {"rules:\n- websocket: {replies: {match: {pointer: a, equals: 1}, send: {text: b}}}",
         "pointer is a JSON pointer"},
        {"rules:\n- websocket: {replies: {match: {equals: 1, contains: 2}, send: {text: b}}}", "not two"},
        {"rules:\n- websocket: {protocols: 'a b'}", "r.yaml:2:26: protocols: a name such as chat.v1"},
        {"rules:\n- websocket: {changes: ''}", "changes is the name of a collection"},
        {"rules:\n- websocket: {ping: often}", "r.yaml:2:21: ping is a duration"},
        {"latency: soon", "r.yaml:1:10: latency is a duration of at most a day"},
        {"latency: {distribution: normal, mean: 1s, sigma: 2}", "sigma is not of a normal distribution"},
        {"bandwidth: 0", "bandwidth is at least 1"},
        {"faults: {fault: fire}", "fault is status, reset"},
        {"faults: {fault: reset, status: 500}", "status is not of this kind"},
        {"faults: {fault: reset, probability: 1.5}", "probability is a number from 0 to 1"},
        {"limit: {requests: 5}", "limit needs requests and window"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        EXPECT_EQ(read_text(&world, cases[i].text), ERR_SYNTAX);
        buffer_append_byte(&world.message, '\0');
        if (strstr(world.message.data, cases[i].message) == NULL)
            fail_msg("\"%s\": got %s wanted %s", cases[i].text, world.message.data, cases[i].message);
        end(&world);
    }
}

TEST(the_first_rule_whose_demands_all_hold_is_meant)
{
    static const char text[] = "rules:\n"
                               "- match: {method: [PUT, POST], path: /users/:id/x}\n"
                               "- match: {path: '/f-{name}.txt'}\n"
                               "- match: {path: '/all/{rest*}', query: {a: '1', b: {present: false}}}\n"
                               "- match: {headers: {x-key: {matches: '^a.c$'}}, path: /h}\n"
                               "- match: {path: /b, body: {pointer: /n/0, equals: 1}}\n"
                               "- match: {path: /b, body: [{contains: xy}, {matches: 'z$'}]}\n"
                               "- match: {path: /b, body: {equals: {s: [true, null]}}}\n"
                               "- match: {method: GET, path: /get}\n";
    static const struct {
        const char *line, *body;
        int rule;
        const char *value;
    } cases[] = {
        {"PUT /users/7/x", "", 0, "7"},
        {"POST /users/a%2Fb/x/", "", 0, "a/b"},
        {"GET /users/7/x", "", -1, NULL},
        {"PUT /users//x", "", -1, NULL},
        {"PUT /users/7/x/y", "", -1, NULL},
        {"GET /f-a.txt", "", 1, "a"},
        {"GET /f-.txt", "", -1, NULL},
        {"GET /all?a=2&a=1", "", 2, ""},
        {"GET /all/x/y?%61=1", "", 2, "x/y"},
        {"GET /all?a=1&b", "", -1, NULL},
        {"GET /all?a=2", "", -1, NULL},
        {"GET /h", "", 3, NULL},
        {"POST /b", "{\"n\":[1.0]}", 4, NULL},
        {"POST /b", "{\"n\":[\"1\"]}", -1, NULL},
        {"POST /b", "axyz", 5, NULL},
        {"POST /b", "{\"s\":[true,null]}", 6, NULL},
        {"POST /b", "{\"s\":[true]}", -1, NULL},
        {"HEAD /get", "", 7, NULL},
        {"POST /get", "", -1, NULL},
    };
    struct world world;

    begin(&world, text, 1);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int rule = ask(&world, cases[i].line, cases[i].body);
        if (rule != cases[i].rule)
            fail_msg("%s: rule %d, wanted %d", cases[i].line, rule, cases[i].rule);
        if (cases[i].value != NULL)
            EXPECT_TEXT(path_value(&world.values, 0), bytes_of_text(cases[i].value));
    }
    end(&world);
}

TEST(a_pattern_that_would_take_for_ever_does_not_match)
{
    struct world world;

    begin(&world, "rules: [{match: {body: {matches: '^(a+)+$'}}}]", 1);
    EXPECT_EQ(ask(&world, "POST /", "aaaaaaaaaaaaaaaa"), 0);
    EXPECT_EQ(ask(&world, "POST /", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"), -1);
    end(&world);
}

TEST(a_value_is_escaped_as_the_place_where_it_stands_wants_it)
{
    static const struct {
        const char *answer, *said;
    } cases[] = {
        {"{text: 'a{{request.query.q}}b'}", "Content-Type: text/plain; charset=utf-8\r\na\"\r\n\xff"
                                            "b"},
        {"{headers: {Content-Type: a/b, X: '{{request.query.q}}.'}}",
         "Content-Type: a/b\r\nX: \"  \xff.\r\n"},
        {"{json: ['<{{request.query.q}}>', '{{request.query.q}}']}",
         "Content-Type: "
         "application/json\r\n[\"<\\\"\\u000d\\u000a\xef\xbf\xbd>\",\"\\\"\\u000d\\u000a\xef\xbf\xbd\"]"},
        {"{json: ['{{request.query.n}}', '{{request.query.n | number}}', '{{request.query.no}}']}",
         "Content-Type: application/json\r\n[\"7\",7,null]"},
        {"{json: {'a\"': '{{request.query.no | default \"x y\"}}'}}",
         "Content-Type: application/json\r\n{\"a\\\"\":\"x y\"}"},
        {"{headers: {Content-Type: application/x+json}, text: '[\"{{request.query.n}}\\\"\", "
         "{{request.query.n}},{{request.query.n | number}}]'}",
         "Content-Type: application/x+json\r\n[\"7\\\"\", \"7\",7]"},
        {"{json: ['{{request.body /a}}', '{{request.body /a/0}}', '{{request.body /b}}', "
         "'{{request.body}}']}",
         "Content-Type: application/json\r\n[[1],1,\"q\",\"{\\\"a\\\":[1],\\\"b\\\":\\\"q\\\"}\"]"},
        {"{json: ['{{now}}', '{{now unix -1h}}', '{{now date +1d}}', '{{now http}}', '{{now ms | text}}']}",
         "Content-Type: application/json\r\n[\"2025-11-29T20:00:00.123Z\",1764442800,\"2025-11-30\",\"Sat, "
         "29 "
         "Nov 2025 20:00:00 GMT\",\"1764446400123\"]"},
        {"{text: '{{request.method}} {{request.path}} {{request.headers.x-KEY}} {{counter}} {{counter "
         "n}}'}",
         "Content-Type: text/plain; charset=utf-8\r\nPOST /p abc 1 1"},
        {"{text: '{{as it is}}', template: false}",
         "Content-Type: text/plain; charset=utf-8\r\n{{as it is}}"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        char text[512];
        snprintf(text, sizeof text, "rules: [{answer: %s}]", cases[i].answer);
        begin(&world, text, 1);
        EXPECT_EQ(ask(&world, "POST /p?q=%22%0d%0a%ff&n=7", "{\"a\":[1],\"b\":\"q\"}"), 0);
        EXPECT_TEXT(answer(&world), bytes_of_text(cases[i].said));
        end(&world);
    }
}

TEST(the_same_seed_makes_the_same_answers_and_another_seed_others)
{
    static const char text[] =
        "rules: [{answer: {json: ['{{random.uuid}}', '{{random.name}}', '{{random.email}}', '{{random.int "
        "1 "
        "1000000}}', '{{random.bool}}', '{{random.date}}', '{{random.datetime 2020-01-01 2020-01-01}}', "
        "'{{random.lorem 3}}', '{{random.hex 5}}', '{{random.choice a b \"c d\"}}']}}]";
    struct buffer said[3] = {{0}};

    for (uint64_t i = 0; i < 3; i++) {
        struct world world;
        begin(&world, text, i < 2 ? 42 : 43);
        for (int turn = 0; turn < 5; turn++) {
            ask(&world, "GET /", "");
            buffer_append(&said[i], answer(&world));
        }
        end(&world);
    }
    EXPECT_TEXT(buffer_bytes(&said[0]), buffer_bytes(&said[1]));
    EXPECT(!bytes_equal(buffer_bytes(&said[0]), buffer_bytes(&said[2])));
    for (size_t i = 0; i < 3; i++)
        buffer_fini(&said[i]);
}

TEST(answers_come_in_turn_and_the_last_stays_or_the_first_comes_again)
{
    struct world world;

    begin(&world,
          "rules:\n- match: {path: /last}\n  answer: [{status: 201}, {status: 202}]\n"
          "- then: cycle\n  answer: [{status: 203}, {status: 205}]\n",
          1);
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(rules_state_answer(world.state, 0)->status, i == 0 ? 201 : 202);
        EXPECT_EQ(rules_state_answer(world.state, 1)->status, i % 2 == 0 ? 203 : 205);
    }
    rules_state_reset(world.state);
    EXPECT_EQ(rules_state_answer(world.state, 0)->status, 201);
    end(&world);
}

TEST(a_scenario_lets_a_rule_answer_in_its_state_alone_and_goes_on_to_the_next)
{
    struct world world;

    begin(&world,
          "rules:\n"
          "- {match: {path: /me}, scenario: {name: s, state: in}}\n"
          "- {match: {path: /login}, scenario: {name: s, next: in}}\n"
          "- {match: {path: /out}, scenario: {name: s, state: in, next: Started}}\n",
          1);
    EXPECT_EQ(ask(&world, "GET /me", ""), -1);
    EXPECT_EQ(ask(&world, "GET /login", ""), 1);
    EXPECT_EQ(ask(&world, "GET /me", ""), 0);
    EXPECT_EQ(ask(&world, "GET /out", ""), 2);
    EXPECT_EQ(ask(&world, "GET /me", ""), -1);
    EXPECT(rules_state_set_scenario(world.state, BYTES("s"), BYTES("in")));
    EXPECT(!rules_state_set_scenario(world.state, BYTES("s"), BYTES("nowhere")));
    EXPECT_EQ(ask(&world, "GET /me", ""), 0);
    rules_state_reset(world.state);
    EXPECT_EQ(ask(&world, "GET /me", ""), -1);
    end(&world);
}

TEST(a_rate_limit_is_kept_in_each_window_and_for_each_client)
{
    struct world world;
    const struct rate_limit *limit;
    int64_t now_ms = 1000;

    begin(&world, "rules: [{limit: {requests: 2, window: 10s, by: X-Key}}]", 1);
    limit = &world.rules.rules[0].shape.limit;
    ask(&world, "GET /", "");
    for (int i = 0; i < 4; i++) {
        struct limit_standing standing = rules_state_take(world.state, limit, &world.request, now_ms + i);
        EXPECT_EQ(standing.is_over, i >= 2);
        EXPECT_EQ(standing.left, i == 0 ? 1 : 0);
        EXPECT_EQ(standing.reset_s, 10);
    }
    world.fields[0].value = BYTES("another");
    EXPECT(!rules_state_take(world.state, limit, &world.request, now_ms).is_over);
    world.fields[0].value = BYTES("abc");
    EXPECT(rules_state_take(world.state, limit, &world.request, now_ms + 9999).is_over);
    EXPECT_EQ(rules_state_take(world.state, limit, &world.request, now_ms + 9999).reset_s, 1);
    EXPECT(!rules_state_take(world.state, limit, &world.request, now_ms + 10000).is_over);
    end(&world);
}

TEST(delays_and_faults_are_as_often_and_as_long_as_was_asked_for)
{
    struct world world;
    const struct shape *shape;
    double sum_ms[3] = {0};
    int struck = 0;
    enum { DRAWS = 4000 };

    begin(&world,
          "rules:\n"
          "- {latency: {distribution: normal, mean: 100ms, deviation: 10ms},"
          " faults: [{fault: reset, probability: 0.25}]}\n"
          "- {latency: {distribution: lognormal, median: 100ms, sigma: 0.5, max: 400ms}}\n"
          "- {latency: {distribution: uniform, low: 50ms, high: 150ms}}\n",
          7);
    for (int i = 0; i < DRAWS; i++)
        for (int rule = 0; rule < 3; rule++) {
            struct random_source random = rules_state_random(world.state, rule);
            shape = &world.rules.rules[rule].shape;
            struck += shape_draw_fault(shape, &random) != NULL;
            int64_t ms = delay_draw_ms(&shape->latency, &random);
            EXPECT(ms >= 0 && ms <= 400);
            sum_ms[rule] += (double)ms;
        }
    EXPECT(struck > 900 && struck < 1100);
    EXPECT(sum_ms[0] / DRAWS > 97 && sum_ms[0] / DRAWS < 103);
    EXPECT(sum_ms[1] / DRAWS > 105 && sum_ms[1] / DRAWS < 118); /* 100 × e^(0.5² / 2) = 113, less the cut */
    EXPECT(sum_ms[2] / DRAWS > 97 && sum_ms[2] / DRAWS < 103);
    end(&world);
}

TEST(the_first_reply_whose_demands_all_hold_is_made_of_the_message)
{
    static const struct {
        const char *said, *reply;
    } cases[] = {
        {"ping", "pong"},
        {"pings", "has ping"},
        {"{\"a\": {\"b\": [1]}}", "{\"got\":[1],\"of\":\"/\"}"},
        {"{\"a\": 1}", "{\"got\":null,\"of\":\"/\"}"},
        {"{\"a\": 2}", "any: {\"a\": 2}"},
        {"", "any: "},
    };
    struct world world;

    begin(&world,
          "rules:\n- websocket:\n    replies:\n"
          "      - {match: ping, send: {text: pong}}\n"
          "      - {match: {contains: ping}, send: {text: has ping}}\n"
          "      - {match: [{pointer: /a, present: true}, {pointer: /a, matches: '[{1]'}],\n"
          "         send: {json: {got: '{{message /a/b}}', of: '{{request.path}}'}}}\n"
          "      - {send: {text: 'any: {{message}}'}}\n",
          1);
    ask(&world, "GET /", "");
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        EXPECT_TEXT(reply(&world, cases[i].said), bytes_of_text(cases[i].reply));
    end(&world);
}

RUN_TESTS(TEST_ROW(a_mistake_is_refused_with_its_line_and_column_and_what_was_expected),
          TEST_ROW(the_first_rule_whose_demands_all_hold_is_meant),
          TEST_ROW(a_pattern_that_would_take_for_ever_does_not_match),
          TEST_ROW(a_value_is_escaped_as_the_place_where_it_stands_wants_it),
          TEST_ROW(the_same_seed_makes_the_same_answers_and_another_seed_others),
          TEST_ROW(answers_come_in_turn_and_the_last_stays_or_the_first_comes_again),
          TEST_ROW(a_scenario_lets_a_rule_answer_in_its_state_alone_and_goes_on_to_the_next),
          TEST_ROW(a_rate_limit_is_kept_in_each_window_and_for_each_client),
          TEST_ROW(delays_and_faults_are_as_often_and_as_long_as_was_asked_for),
          TEST_ROW(the_first_reply_whose_demands_all_hold_is_made_of_the_message))
