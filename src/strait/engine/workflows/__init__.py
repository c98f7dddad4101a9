"""The workflow engine: pure decisions over workflow runs and their steps.

`start` begins a run, `decide` tells what becomes of it by each event, and both answer with a
`Transition`: records to write, lines for the ledger, and effects for the shell. Nothing here does
I/O or knows the time.

| module | has |
|---|---|
| `start` | triggers, step overrides, the retry of a whole run |
| `decide`, `events` | one decision per event |
| `advance`, `starting` | which steps begin, and how each type does |
| `failure`, `reopen` | failure policies and early ends; doing steps again |
| `compensation` | undoing in reverse order |
| `payloads`, `instants` | what steps are given, and until when |
| `draft`, `state`, `effects` | a transition, in the making and made |
| `definitions`, `policies`, `graphs` | what definitions may be, and what can be told of them |
| `views` | what is shown of a run |
"""
