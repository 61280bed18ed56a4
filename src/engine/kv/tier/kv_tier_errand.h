/* kv_tier_errand.h — a command that is another one in the tier, or a script there: how it is put together
 * and sent, and how its answer is said when what the tier says has come. */
#pragma once
#include "engine/kv/kv_call.h"
#include "engine/kv/tier/kv_tier_state.h"

enum { KV_TIER_WORDS_MAX = 16, KV_TIER_WORD_BYTES = 24 };

/* What is said to the tier, until it is sent: the words are the caller's but for numbers. */
struct kv_tier_words {
    struct bytes words[KV_TIER_WORDS_MAX];
    uint32_t count;
    char numbers[KV_TIER_WORDS_MAX][KV_TIER_WORD_BYTES];
};

void kv_tier_add_word(struct kv_tier_words *words, struct bytes word);
void kv_tier_add_number(struct kv_tier_words *words, int64_t number);
/* 16 hexadecimal digits. */
void kv_tier_add_version(struct kv_tier_words *words, uint64_t version);
/* "EVAL", the script and its one key. */
void kv_tier_add_script(struct kv_tier_words *words, const char *script, struct bytes key);
/* A time to live as nh_put_options has it, as scripts want it: kv_tier_scripts.h. */
void kv_tier_add_ttl(struct kv_tier_words *words, int64_t ttl_ms);
/* The same as SET and GETEX want it: nothing for none. */
void kv_tier_add_px(struct kv_tier_words *words, int64_t ttl_ms);

/* Sends the words to the slot of `key`, which the request writes if it writes. `said` is told what the tier
 * has said, with a call as if the command were run at that moment; not of an error, which is said by
 * itself. */
void kv_tier_send_words(struct kv_tier_request *request, const struct kv_tier_words *words,
                        struct bytes key,
                        void (*said)(const struct kv_call *call, const struct resp_node *node));

/* A call as if the request's command were run now and answered to `reply`. */
struct kv_call kv_tier_late_call(struct kv_tier_request *request, struct reply *reply);

/* What the tier says by an error, such as "WRONGTYPE …": to RESP as it is, memcached has SERVER_ERROR. */
void kv_tier_say_error(struct reply *reply, const struct resp_node *error);

/* A member of an array that a script has answered; a null node if there are not so many. */
const struct resp_node *kv_tier_member(const struct resp_node *array, uint32_t number);
/* A version as scripts say it; 0 for none. */
uint64_t kv_tier_version_of(const struct resp_node *node);
