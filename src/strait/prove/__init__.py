"""`strait prove`: a thousand orders through a platform whose processes die, and an audit of it all.

`plan` draws from a seed what happens, `drill` lets it happen to the processes of `processes`, the
steps of `shop` write down from the outside what they do (`witness`), the `provider` has its own
ledger, and `verdict` holds all of these books against each other. `proof` puts it together.

Nothing here may look into the platform: what it says by its API is all there is.
"""
