/* links: nuthatch-server */
#include "base/compiler.h"
#include "server/late_answers.h"
#include "test.h"
#include <stdlib.h>

static void expect_order(const unsigned *order, size_t count)
{
    struct late_answers answers;
    struct late_place *places[4];
    struct buffer output = {0};
    uint64_t bytes_with_all;

    late_answers_init(&answers);
    EXPECT(late_answers_output(&answers, &output) == &output);
    buffer_append_literal(&output, "before ");
    for (size_t i = 0; i < count; i++) {
        places[i] = late_answers_take(&answers, 0, 100, 2);
        buffer_append_format(late_answers_output(&answers, &output), "behind%zu ", i);
    }
    bytes_with_all = answers.bytes;
    EXPECT(bytes_with_all >= 100 * count);
    EXPECT_EQ(late_answers_said_bytes(&answers), bytes_with_all - answers.held_bytes);
    EXPECT(late_answers_said_bytes(&answers) < 100); /* of what is said behind, not of commands */
    for (size_t i = 0; i < count; i++) {
        struct late_place *place = places[order[i]];
        buffer_append_format(late_place_output(&answers, place, &output), "late%u ", order[i]);
        late_answers_end(&answers, place, &output);
    }
    EXPECT_EQ(answers.count, 0);
    EXPECT_EQ(answers.bytes, 0);
    EXPECT_TEXT(buffer_bytes(&output),
                BYTES("before late0 behind0 late1 behind1 late2 behind2 late3 behind3 "));
    late_answers_fini(&answers);
    buffer_fini(&output);
}

TEST(in_whatever_order_answers_come_they_are_said_in_the_order_of_the_commands)
{
    for (unsigned a = 0; a < 4; a++)
        for (unsigned b = 0; b < 4; b++)
            for (unsigned c = 0; c < 4; c++)
                if (a != b && a != c && b != c)
                    expect_order((const unsigned[]){a, b, c, 6 - a - b - c}, 4);
}

TEST(an_answer_waits_for_those_before_it_and_not_for_those_behind)
{
    struct late_answers answers;
    struct late_place *one, *two, *three;
    struct buffer output = {0};

    late_answers_init(&answers);
    one = late_answers_take(&answers, 0, 0, 2);
    two = late_answers_take(&answers, LATE_ALONE, 0, 3);
    three = late_answers_take(&answers, 0, 0, 2);
    EXPECT_EQ(answers.alone_count, 1);
    EXPECT(late_place_output(&answers, two, &output) != &output);
    buffer_append_literal(late_place_output(&answers, two, &output), "2");
    late_answers_end(&answers, two, &output);
    EXPECT_EQ(output.size, 0);
    EXPECT_EQ(answers.alone_count, 1); /* until it has been said */
    buffer_append_literal(late_place_output(&answers, one, &output), "1");
    late_answers_end(&answers, one, &output);
    EXPECT_TEXT(buffer_bytes(&output), BYTES("12"));
    EXPECT_EQ(answers.alone_count, 0);
    EXPECT_EQ(answers.count, 1);
    EXPECT(late_place_output(&answers, three, &output) == &output);
    late_answers_end(&answers, three, &output);
    late_answers_fini(&answers);
    buffer_fini(&output);
}

static void note_given_up(void *owner) { ++*(int *)owner; }

TEST(the_end_of_a_connection_is_told_to_those_who_would_still_say_something_and_to_no_others)
{
    struct late_answers answers;
    struct late_place *places[3];
    struct buffer output = {0};
    int counts[3] = {0};

    late_answers_init(&answers);
    for (int i = 0; i < 3; i++) {
        places[i] = late_answers_take(&answers, 0, 10, 2);
        places[i]->late.give_up = note_given_up;
        places[i]->late.owner = &counts[i];
    }
    buffer_append_literal(late_place_output(&answers, places[1], &output), "said too early");
    late_answers_end(&answers, places[1], &output);
    late_answers_fini(&answers);
    EXPECT_EQ(counts[0], 1);
    EXPECT_EQ(counts[1], 0);
    EXPECT_EQ(counts[2], 1);
    EXPECT_EQ(answers.bytes, 0);
    buffer_fini(&output);
}

RUN_TESTS(TEST_ROW(in_whatever_order_answers_come_they_are_said_in_the_order_of_the_commands),
          TEST_ROW(an_answer_waits_for_those_before_it_and_not_for_those_behind),
          TEST_ROW(the_end_of_a_connection_is_told_to_those_who_would_still_say_something_and_to_no_others))
