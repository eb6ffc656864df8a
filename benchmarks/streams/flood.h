/* What both ends need. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, READ = 65536 };

struct chosen { /* on the command line */
    int port, streams, chunks, interval_us, ramp_ms, steady_ms, seconds;
    const char *model, *key_file;
};
extern struct chosen chosen;

extern int polled;          /* the epoll instance */
extern int alarmed;         /* the timerfd that wakes it; its events have the address of this */
extern char incoming[READ]; /* what was just read */

struct text { /* what `data` holds is followed by a zero, for the functions of string.h */
    char *data;
    size_t length, room;
};

void add(struct text *text, const char *data, size_t length);
void take(struct text *text, size_t length); /* its first bytes away */

void die(const char *what);
int64_t now_us(void);                                             /* of CLOCK_MONOTONIC */
void watch(int operation, int fd, uint32_t events, void *whose); /* epoll_ctl */
void wake_at(int64_t us);                                         /* of that clock; 0: never */
struct sockaddr_in here(void);
void hurry(int fd); /* what is sent leaves at once */

void vendor(void);
void client(void);
