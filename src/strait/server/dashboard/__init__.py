"""The page that a platform serves at `/`: its files, who may open it, and its sessions.

Everything that the page shows or does is a call of the public API. What lives here is only what a
browser needs besides: the files, and a cookie in place of an API key, which no page may hold.
"""
