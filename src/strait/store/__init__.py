"""SQLite underneath the embedded server: schema, migrations, one writer, group commit.

Records are stored as the JSON that the API answers with, beside the few columns that are filtered
or guarded. SQL stays in this package; it decides nothing.
"""
