/* TLS secrets of any dynamically linked OpenSSL (>= 1.1.1) program, without touching the program. Mbed TLS: see mbedtls.c.
 *
 *   LD_PRELOAD=/usr/lib/siplab-keylog.so SSLKEYLOGFILE=/var/lib/siplab/keys/pa.log kamailio ...
 *
 * Every SSL_CTX and every SSL gets a key log callback, so contexts made before a plugin was loaded are covered too. A program that has its
 * own callback keeps it. Each secret is one write to a file opened O_APPEND: lines of several processes and threads never mix.
 * The file is world-readable because the dissector runs as nobody; the secrets are those of a throw-away lab.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keylog.h"

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_method_st SSL_METHOD;
typedef struct ossl_lib_ctx_st OSSL_LIB_CTX;
typedef void (*keylog_cb)(const SSL *, const char *);

void siplab_log(const char *secret)
{
    char line[512];
    const char *path = getenv("SSLKEYLOGFILE");
    int length = snprintf(line, sizeof line, "%s\n", secret);
    if (!path || length <= 0 || (size_t)length >= sizeof line)
        return;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, line, (size_t)length) != length)
        dprintf(2, "siplab-keylog: cannot write %s: %m\n", path);
    if (fd >= 0)
        close(fd);
}

void *siplab_real(const char *name)
{
    static const char *const libraries[] = {"libssl.so.3", "libssl.so.1.1", "libmbedtls.so.21", "libmbedtls.so.14"};
    void *found = dlsym(RTLD_NEXT, name);
    for (size_t i = 0; !found && i < sizeof libraries / sizeof *libraries; i++) {
        void *library = dlopen(libraries[i], RTLD_NOLOAD | RTLD_NOW);
        if (library)
            found = dlsym(library, name);
    }
    return found;
}

static void write_secret(const SSL *ssl, const char *secret)
{
    (void)ssl;
    siplab_log(secret);
}

static void arm(SSL_CTX *context)
{
    void (*set)(SSL_CTX *, keylog_cb) = siplab_real("SSL_CTX_set_keylog_callback");
    keylog_cb (*get)(const SSL_CTX *) = siplab_real("SSL_CTX_get_keylog_callback");
    if (context && set && get && !get(context))
        set(context, write_secret);
}

SSL_CTX *SSL_CTX_new(const SSL_METHOD *method)
{
    SSL_CTX *(*next)(const SSL_METHOD *) = siplab_real("SSL_CTX_new");
    SSL_CTX *context = next ? next(method) : NULL;
    arm(context);
    return context;
}

SSL_CTX *SSL_CTX_new_ex(OSSL_LIB_CTX *library, const char *query, const SSL_METHOD *method)
{
    SSL_CTX *(*next)(OSSL_LIB_CTX *, const char *, const SSL_METHOD *) = siplab_real("SSL_CTX_new_ex");
    SSL_CTX *context = next ? next(library, query, method) : NULL;
    arm(context);
    return context;
}

SSL *SSL_new(SSL_CTX *context)
{
    SSL *(*next)(SSL_CTX *) = siplab_real("SSL_new");
    arm(context);
    return next ? next(context) : NULL;
}
