"""The search of `tune` over one shared file: its journal, who works on it, and the trials."""
