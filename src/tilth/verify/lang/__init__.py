"""One file a language; see `tilth.verify.languages`."""
