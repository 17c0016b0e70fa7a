/* Master secrets of TLS 1.2 and DTLS 1.2 connections of a program that is linked dynamically to Mbed TLS, 3.x (trixie) or 2.28 (bookworm).
 *
 * Both have a callback for it. A program that sets one, as it must for DTLS-SRTP, gets its own called too; with 3.x a connection of one that
 * sets none is covered as well. What remembers the program's callback is never freed: 16 bytes for each connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keylog.h"

enum { RANDOM = 32, MASTER = 48, TLS12_MASTER_SECRET = 0 };

typedef void (*export_cb)(void *, int, const unsigned char *, size_t, const unsigned char *, const unsigned char *, int);
typedef int (*export_ext_cb)(void *, const unsigned char *, const unsigned char *, size_t, size_t, size_t, const unsigned char *,
                             const unsigned char *, int);

struct program {
    export_cb callback;
    export_ext_cb callback_ext;
    void *argument;
};

static void log_master(const unsigned char *random, const unsigned char *master)
{
    char line[256];
    int length = sprintf(line, "CLIENT_RANDOM ");
    for (int i = 0; i < RANDOM; i++)
        length += sprintf(line + length, "%02x", random[i]);
    length += sprintf(line + length, " ");
    for (int i = 0; i < MASTER; i++)
        length += sprintf(line + length, "%02x", master[i]);
    siplab_log(line);
}

static struct program *remember(export_cb callback, export_ext_cb callback_ext, void *argument)
{
    struct program *program = calloc(1, sizeof *program);
    if (!program)
        abort();
    *program = (struct program){callback, callback_ext, argument};
    return program;
}

/* 3.x: per connection. */

static void tell(void *argument, int type, const unsigned char *secret, size_t length, const unsigned char *client,
                 const unsigned char *server, int prf)
{
    const struct program *program = argument;
    if (type == TLS12_MASTER_SECRET && length == MASTER)
        log_master(client, secret);
    if (program && program->callback)
        program->callback(program->argument, type, secret, length, client, server, prf);
}

static void set_callback(void *connection, void *program)
{
    void (*next)(void *, export_cb, void *) = siplab_real("mbedtls_ssl_set_export_keys_cb");
    if (next)
        next(connection, tell, program);
}

void mbedtls_ssl_set_export_keys_cb(void *connection, export_cb callback, void *argument)
{
    set_callback(connection, remember(callback, NULL, argument));
}

int mbedtls_ssl_setup(void *connection, const void *configuration)
{
    int (*next)(void *, const void *) = siplab_real("mbedtls_ssl_setup");
    int failed = next ? next(connection, configuration) : -1;
    if (!failed)
        set_callback(connection, NULL);
    return failed;
}

/* 2.28: per configuration. */

static int tell_ext(void *argument, const unsigned char *master, const unsigned char *block, size_t mac, size_t key, size_t iv,
                    const unsigned char *client, const unsigned char *server, int prf)
{
    const struct program *program = argument;
    log_master(client, master);
    return program->callback_ext ? program->callback_ext(program->argument, master, block, mac, key, iv, client, server, prf) : 0;
}

void mbedtls_ssl_conf_export_keys_ext_cb(void *configuration, export_ext_cb callback, void *argument)
{
    void (*next)(void *, export_ext_cb, void *) = siplab_real("mbedtls_ssl_conf_export_keys_ext_cb");
    if (next)
        next(configuration, tell_ext, remember(NULL, callback, argument));
}
