"""The siplab agent for linphone: liblinphone in a process of its own, driven through its C API."""
