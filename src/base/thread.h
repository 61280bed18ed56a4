/* thread.h — threads of our own beside the main one, whose the signals are. */
#pragma once
#include <pthread.h>
#include <stdbool.h>

/* Starts a thread that no signal is delivered to. False if the system has none to spare. */
bool thread_start(pthread_t *thread, void *(*run)(void *context), void *context);

/* A condition whose timed waits go by CLOCK_MONOTONIC, whatever becomes of the wall clock. */
void thread_condition_init(pthread_cond_t *condition);
