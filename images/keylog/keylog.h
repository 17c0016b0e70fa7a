/* What the shims for the different libraries share. */
#ifndef SIPLAB_KEYLOG_H
#define SIPLAB_KEYLOG_H

/* Append one line in NSS key log format to $SSLKEYLOGFILE. */
void siplab_log(const char *secret);

/* The real function: next in link order, or in a library that was dlopen()ed out of our sight. NULL where there is none. */
void *siplab_real(const char *name);

#endif
