/* Many event streams at once, from either end, on 127.0.0.1:
 *
 *   flood vendor --port P [--interval-us 50000] [--seconds 900]
 *   flood client --port P --streams N --chunks M [--ramp-ms 3000] [--steady-ms 60000]
 *                [--seconds 120] [--model m] [--key-file F]
 *
 * The vendor answers POST with a chat completion of the OpenAI dialect: a stream where the body says
 * so, of `max_tokens` chunks, one each `interval-us` (0: as fast as they are taken). The content of
 * each chunk is its number and the microsecond of CLOCK_MONOTONIC at which it was made, "17:123456;".
 * It ends with its standard input, or after `seconds`.
 *
 * The client opens its streams evenly over `ramp-ms`, and holds every byte to what the vendor should
 * have said. It prints a line of JSON after that time, when all should be open, one `steady-ms` later,
 * when the first may have ended, and then what it found. Delays are of chunks that came between those
 * two: each is the time of its arrival less the time in it. What has not ended after `seconds` is
 * given up. Exit code 0 says that it ran, not that all was well.
 */
#include "flood.h"

#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>

struct chosen chosen = {.interval_us = 50000, .ramp_ms = 3000, .steady_ms = 60000, .model = "m"};
int polled, alarmed;
char incoming[READ];

void die(const char *what) {
    perror(what);
    exit(1);
}

int64_t now_us(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

void add(struct text *text, const char *data, size_t length) {
    if (text->length + length + 1 > text->room) {
        text->room = (text->length + length + 1) * 2;
        if (!(text->data = realloc(text->data, text->room))) die("realloc");
    }
    memcpy(text->data + text->length, data, length);
    text->length += length;
    text->data[text->length] = 0;
}

void take(struct text *text, size_t length) {
    text->length -= length;
    memmove(text->data, text->data + length, text->length + 1);
}

void watch(int operation, int fd, uint32_t events, void *whose) {
    struct epoll_event event = {.events = events, .data.ptr = whose};
    if (epoll_ctl(polled, operation, fd, &event)) die("epoll_ctl");
}

void wake_at(int64_t us) {
    struct itimerspec when = {.it_value = {us / 1000000, us % 1000000 * 1000}};
    if (timerfd_settime(alarmed, TFD_TIMER_ABSTIME, &when, NULL)) die("timerfd_settime");
}

static void prepare(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    if ((polled = epoll_create1(0)) < 0) die("epoll_create1");
    if ((alarmed = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)) < 0) die("timerfd_create");
    watch(EPOLL_CTL_ADD, alarmed, EPOLLIN, &alarmed);
}

struct sockaddr_in here(void) {
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(chosen.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

void hurry(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int main(int count, char **words) {
    static const struct option options[] = {
        {"port", 1, 0, 'p'},        {"streams", 1, 0, 's'},   {"chunks", 1, 0, 'c'},
        {"interval-us", 1, 0, 'i'}, {"ramp-ms", 1, 0, 'r'},   {"steady-ms", 1, 0, 'w'},
        {"seconds", 1, 0, 't'},     {"model", 1, 0, 'm'},     {"key-file", 1, 0, 'k'},
        {0}};
    int option;
    while ((option = getopt_long(count, words, "", options, NULL)) != -1) {
        switch (option) {
            case 'p': chosen.port = atoi(optarg); break;
            case 's': chosen.streams = atoi(optarg); break;
            case 'c': chosen.chunks = atoi(optarg); break;
            case 'r': chosen.ramp_ms = atoi(optarg); break;
            case 'w': chosen.steady_ms = atoi(optarg); break;
            case 't': chosen.seconds = atoi(optarg); break;
            case 'i': chosen.interval_us = atoi(optarg); break;
            case 'm': chosen.model = optarg; break;
            case 'k': chosen.key_file = optarg; break;
            default: return 2;
        }
    }
    bool serves = optind < count && !strcmp(words[optind], "vendor");
    bool asks = optind < count && !strcmp(words[optind], "client");
    if (!chosen.port || serves == asks || (asks && (chosen.streams < 1 || chosen.chunks < 1))) {
        fprintf(stderr, "usage: the head of flood.c\n");
        return 2;
    }
    if (!chosen.seconds) chosen.seconds = serves ? 900 : 120;
    prepare();
    if (serves) vendor();
    else client();
    return 0;
}
