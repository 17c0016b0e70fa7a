"""What people write: strict YAML into frozen models. Import from the modules: `catalog`, `topology`, `vendor`, `capability`, `role`."""
