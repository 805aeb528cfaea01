"""Device profiles, one instrument a file: registers as data, with citation and examples."""
