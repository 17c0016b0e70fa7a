"""The files that `siplab vendor new` starts a vendor with; `@NAME@` stands for its name."""
